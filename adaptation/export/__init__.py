"""Results as other programs read them: glTF, BVH, OBJ, AMASS's npz, and networks as ONNX."""
