"""Other programs than PyTorch that compute a network: the same network, another engine.

The network leaves PyTorch as an ONNX graph (`graph`), which ONNX Runtime (`onnx_engine`) and OpenVINO
(`openvino_engine`) compute. Each is a function from a float32 batch (B, 3, H, W) to `Logits`, which is all that a
`Predictor` asks of a network. Whether it gives what PyTorch gives is tried before it is used (`agreement`).
"""
