"""ONNX files that are made in milliseconds, with the inputs and outputs of exported detectors."""

import json


def find_first_values(path, shape, metadata=None):
    """Write a graph that finds one object of class 1 in each image of `shape`, [3, H, W] or [B, 3, H, W].

    Its score is the image's first value; the lists of a batch have a second place, which stays empty.
    """
    from onnx import TensorProto, helper, save

    batched, number = len(shape) == 4, shape[0] if len(shape) == 4 else 1
    places = [number, 2] if batched else [1]
    mask, classes = ([1.0, 0.0], [1, 0]) if batched else ([1.0], [1])
    kinds = {"boxes": TensorProto.FLOAT, "scores": TensorProto.FLOAT, "labels": TensorProto.INT64}
    shapes = {"boxes": [*places, 4], "scores": places, "labels": places}
    outputs = [helper.make_tensor_value_info(name, kinds[name], shapes[name]) for name in kinds]
    name = "images" if batched else "image"
    last = [len(shape) - 3, len(shape) - 2, len(shape) - 1]
    integers = {"start": [0, 0, 0], "end": [1, 1, 1], "axes": last, "column": [number, 1] if batched else [1]}
    integers |= {"wide": [*places, 4], "places": places, "classes": classes}
    constants = [helper.make_tensor(key, TensorProto.INT64, [len(v)], v) for key, v in integers.items()]
    constants += [
        helper.make_tensor(key, TensorProto.FLOAT, [len(v)], v) for key, v in [("mask", mask), ("zero", [0.0])]
    ]
    nodes = [
        helper.make_node("Slice", [name, "start", "end", "axes"], ["first"]),
        helper.make_node("Reshape", ["first", "column"], ["value"]),
        helper.make_node("Mul", ["value", "mask"], ["scores"]),
        helper.make_node("Expand", ["zero", "wide"], ["boxes"]),
        helper.make_node("Expand", ["classes", "places"], ["labels"]),
    ]
    images = helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))
    graph = helper.make_graph(nodes, "first_values", [images], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    helper.set_model_props(model, {key: json.dumps(value) for key, value in (metadata or {}).items()})
    save(model, path)
