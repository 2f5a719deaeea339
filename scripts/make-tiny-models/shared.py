"""What the scripts that make tiny models share: above all the form in which decoders with a cache are published, one
graph whose input `use_cache_branch` chooses its branch.
"""

import wave
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper


ROOT = Path(__file__).resolve().parents[2]


def read_wav(name):
    with wave.open(str(ROOT / f"test/fixtures/egemaps/{name}.wav")) as file:
        assert file.getframerate() == 16000 and file.getnchannels() == 1 and file.getsampwidth() == 2
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768


def rounded(values, digits=6):
    return [float(f"{v:.{digits}f}") for v in np.asarray(values, np.float64).ravel()]


def names(kind, layers, parts=("decoder", "encoder")):
    """What the keys and values of all layers are called."""
    return [f"{kind}.{i}.{part}.{half}" for i in range(layers) for part in parts for half in ("key", "value")]


def export(module, inputs, path, input_names, output_names, dynamic):
    torch.onnx.export(
        module, inputs, str(path), input_names=input_names, output_names=output_names, dynamic_axes=dynamic,
        opset_version=17, dynamo=False, do_constant_folding=True,
    )  # fmt: skip
    return onnx.load(str(path))


def prefixed(graph, prefix, kept):
    """A copy of a graph's nodes whose own names begin with `prefix`, so that two graphs can live in one."""
    rename = lambda name: name if name == "" or name in kept else prefix + name
    nodes = []
    for node in graph.node:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.name = prefix + node.name
        copy.input[:] = [rename(name) for name in node.input]
        copy.output[:] = [rename(name) for name in node.output]
        assert all(a.type != onnx.AttributeProto.GRAPH for a in node.attribute)
        nodes.append(copy)
    return nodes


def export_merged(make, folder, layers, heads, width, vocabulary, positions):
    """`make(with_past)` gives the module of a branch: logits and present keys and values, of the encoder's only without a past."""
    head_size = width // heads
    hidden = torch.randn(2, positions, width)
    whole = export(
        make(False), (torch.ones(2, 4, dtype=torch.long), hidden), folder / "decoder.onnx",
        ["input_ids", "encoder_hidden_states"], ["logits", *names("present", layers)],
        {"input_ids": {0: "b", 1: "s"}, "encoder_hidden_states": {0: "b", 1: "e"}},
    )  # fmt: skip
    past = [torch.randn(2, heads, 3 if i % 4 < 2 else positions, head_size) for i in range(4 * layers)]
    step = export(
        make(True), (torch.ones(2, 1, dtype=torch.long), hidden, *past), folder / "step.onnx",
        ["input_ids", "encoder_hidden_states", *names("past_key_values", layers)],
        ["logits", *names("present", layers, ("decoder",))],
        {"input_ids": {0: "b"}, "encoder_hidden_states": {0: "b", 1: "e"},
         **{name: {0: "b", 2: "p"} for name in names("past_key_values", layers)}},
    )  # fmt: skip
    for file in ("decoder.onnx", "step.onnx"):
        (folder / file).unlink()

    inputs = ["input_ids", "encoder_hidden_states", *names("past_key_values", layers)]
    # Weights that both branches have in common are kept once, outside of them.
    shared, by_content = [], {}

    def branch(graph, prefix, name):
        outer = dict()
        for weight in graph.initializer:
            key = (weight.data_type, tuple(weight.dims), onnx.numpy_helper.to_array(weight).tobytes())
            if key not in by_content:
                by_content[key] = f"weight_{len(by_content)}"
                copy = onnx.TensorProto()
                copy.CopyFrom(weight)
                copy.name = by_content[key]
                shared.append(copy)
            outer[weight.name] = by_content[key]
        nodes = prefixed(graph, prefix, set(inputs))
        for node in nodes:
            node.input[:] = [outer.get(n.removeprefix(prefix), n) if n.startswith(prefix) else n for n in node.input]
        results = []
        for wanted in ["logits", *names("present", layers)]:
            made = prefix + wanted
            if wanted not in [o.name for o in graph.output]:
                empty = onnx.numpy_helper.from_array(np.zeros((0, heads, 1, head_size), np.float32))
                nodes.append(helper.make_node("Constant", [], [made], value=empty))
            results.append(helper.make_tensor_value_info(made, TensorProto.FLOAT, None))
        return helper.make_graph(nodes, name, [], results)

    then_branch = branch(step.graph, "step_", "with_past")
    else_branch = branch(whole.graph, "whole_", "without_past")
    outputs = ["logits", *names("present", layers)]
    fork = helper.make_node("If", ["use_cache_branch"], outputs, name="If", then_branch=then_branch, else_branch=else_branch)

    def info(name):
        if name == "input_ids":
            return helper.make_tensor_value_info(name, TensorProto.INT64, ["batch_size", "decoder_sequence_length"])
        if name == "encoder_hidden_states":
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch_size", "encoder_sequence_length", width])
        if name == "logits":
            shape = ["batch_size", "decoder_sequence_length", vocabulary]
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        length = "past_decoder_sequence_length" if ".decoder." in name else "encoder_sequence_length_out"
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch_size", heads, length, head_size])

    switch = helper.make_tensor_value_info("use_cache_branch", TensorProto.BOOL, [1])
    graph = helper.make_graph([fork], "merged", [*map(info, inputs), switch], list(map(info, outputs)), initializer=shared)
    merged = helper.make_model(graph, opset_imports=whole.opset_import, ir_version=8)
    onnx.checker.check_model(merged)
    return merged
