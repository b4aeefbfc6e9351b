"""Where the windows lie in which an image is predicted."""


def window_spans(length_px: int, *, window_px: int, stride_px: int) -> list[tuple[int, int]]:
    """Return (start, end) of the windows along one side: one step apart, the last one moved back to the end.

    A side shorter than the window has one, as long as the side itself.

    Conventions
    -----------
    The windows are those of MMSegmentation's mode "slide".

    Examples
    --------
    >>> window_spans(1024, window_px=512, stride_px=341)
    [(0, 512), (341, 853), (512, 1024)]
    """
    count = max(length_px - window_px + stride_px - 1, 0) // stride_px + 1
    ends = [min(index * stride_px + window_px, length_px) for index in range(count)]
    return [(max(end - window_px, 0), end) for end in ends]
