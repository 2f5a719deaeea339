"""Makes test/fixtures/whisper-tiny-random: a Whisper of random weights, and what PyTorch's transformers makes of it.

Run by hand, at development only; nothing of the product needs Python.

    python3 -m venv VENV && VENV/bin/pip install torch transformers onnx onnxruntime
    VENV/bin/python scripts/make-tiny-models/make_tiny_whisper.py && npx oxfmt test/fixtures/whisper-tiny-random

The files have the names, inputs and outputs of the exports that Whisper models are published in (encoder_model.onnx,
decoder_model_merged.onnx), so the code that runs those runs this. The weights mean nothing: the model "hears" different
tokens in different recordings, and that is all that is asked of it.
"""

import json
import sys

import numpy as np
import onnx
import onnxruntime
import torch
import transformers
from shared import ROOT, export, export_merged, names, read_wav, rounded
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from torch import nn
from transformers import GenerationConfig, WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.whisper.generation_whisper import WhisperGenerationMixin
from transformers.generation.logits_process import (
    SuppressTokensAtBeginLogitsProcessor,
    SuppressTokensLogitsProcessor,
    WhisperTimeStampLogitsProcessor,
)

OUT = ROOT / "test/fixtures/whisper-tiny-random"
RECORDINGS = ["prompt-conf-hasleft", "prompt-vm-undelete", "prompt-privacy-prompt"]
LANGUAGES = ["en", "zh", "de", "es", "ru", "ko", "fr", "ja", "hi", "ta"]
MAX_NEW_TOKENS = 40
LAYERS, HEADS, WIDTH, FEED_FORWARD, MELS = 2, 2, 32, 64, 80
SEED = int(sys.argv[1]) if len(sys.argv) > 1 else None


def make_tokenizer():
    """Byte-level BPE, with the merges that a few words give, and Whisper's special tokens in Whisper's order."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {symbol: i for i, symbol in enumerate(alphabet)}
    merges = []
    for word in ["Ġthe", "Ġand", "Ġto", "Ġpress", "Ġfor", "Ġyour", "Ġmessage", "Ġleft", "Ġhas", "Ġone", "Ġnow", "Ġyou"]:
        whole = word[0]
        for letter in word[1:]:
            if (whole, letter) not in merges:
                merges.append((whole, letter))
                vocabulary.setdefault(whole + letter, len(vocabulary))
            whole += letter
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|startoftranscript|>", *[f"<|{language}|>" for language in LANGUAGES]]
    special += ["<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    times = [f"<|{i * 0.02:.2f}|>" for i in range(1501)]
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in times])
    return tokenizer


def make_model(tokenizer, seed):
    ids = {token: tokenizer.token_to_id(token) for token in tokenizer.get_vocab()}
    end, start = ids["<|endoftext|>"], ids["<|startoftranscript|>"]
    config = WhisperConfig(
        vocab_size=tokenizer.get_vocab_size(),
        num_mel_bins=MELS,
        d_model=WIDTH,
        encoder_layers=LAYERS,
        decoder_layers=LAYERS,
        encoder_attention_heads=HEADS,
        decoder_attention_heads=HEADS,
        encoder_ffn_dim=FEED_FORWARD,
        decoder_ffn_dim=FEED_FORWARD,
        bos_token_id=end,
        pad_token_id=end,
        eos_token_id=end,
        decoder_start_token_id=start,
        suppress_tokens=None,
        begin_suppress_tokens=None,
        attn_implementation="eager",
    )
    torch.manual_seed(seed)
    model = WhisperForConditionalGeneration(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "embed_positions" in name and "encoder" in name:
                continue
            # Ordinary initial weights would say the same of every recording.
            if "encoder_attn" in name and parameter.dim() == 2:
                parameter.normal_(0, 0.6)
            elif "embed_positions" in name:
                parameter.normal_(0, 0.6)
            elif "embed_tokens" in name or "proj_out" in name:
                parameter.normal_(0, 0.35)
            elif parameter.dim() >= 2:
                parameter.normal_(0, 0.25)
        # Otherwise none of so many tokens would be likely to be the end.
        model.model.decoder.embed_tokens.weight[end] *= 1.8
        model.tie_weights()
    generation = model.generation_config
    generation.bos_token_id = generation.pad_token_id = generation.eos_token_id = end
    generation.decoder_start_token_id = start
    generation.is_multilingual = True
    generation.lang_to_id = {f"<|{language}|>": ids[f"<|{language}|>"] for language in LANGUAGES}
    generation.task_to_id = {"transcribe": ids["<|transcribe|>"], "translate": ids["<|translate|>"]}
    generation.no_timestamps_token_id = ids["<|notimestamps|>"]
    generation.prev_sot_token_id = ids["<|startofprev|>"]
    generation.max_initial_timestamp_index = 50
    generation.max_length = 448
    generation.return_timestamps = False
    generation.begin_suppress_tokens = [ids["Ġ"], end]
    symbols = [ids[symbol] for symbol in "\"#()*+/:;<=>@[\\]^_`{|}~"]
    outer = [start, *[ids[f"<|{x}|>"] for x in ["translate", "transcribe", "startoflm", "startofprev", "nospeech"]]]
    generation.suppress_tokens = sorted(symbols + outer)
    return model, ids


class Encoder(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.encoder = model.model.encoder

    def forward(self, input_features):
        return self.encoder(input_features).last_hidden_state


def heads(x):
    return x.view(x.shape[0], -1, HEADS, WIDTH // HEADS).transpose(1, 2)


def attend(q, k, v, mask=None):
    scores = q @ k.transpose(2, 3)
    if mask is not None:
        scores = scores + mask
    mixed = scores.softmax(-1) @ v
    return mixed.transpose(1, 2).reshape(q.shape[0], -1, WIDTH)


class Decoder(nn.Module):
    """The decoder written out, because a cache of Python objects cannot be exported; compared with the original below."""

    def __init__(self, model, with_past):
        super().__init__()
        self.decoder = model.model.decoder
        self.with_past = with_past

    def forward(self, input_ids, encoder_hidden_states, *past):
        decoder = self.decoder
        length = input_ids.shape[1]
        begin = past[0].shape[2] if self.with_past else 0
        x = decoder.embed_tokens(input_ids) + decoder.embed_positions.weight[begin : begin + length]
        causal = torch.full((length, length), float("-inf")).triu(1) if not self.with_past else None
        present = []
        for i, layer in enumerate(decoder.layers):
            own = layer.self_attn
            y = layer.self_attn_layer_norm(x)
            k, v = heads(own.k_proj(y)), heads(own.v_proj(y))
            if self.with_past:
                k, v = torch.cat([past[4 * i], k], 2), torch.cat([past[4 * i + 1], v], 2)
            x = x + own.out_proj(attend(heads(own.q_proj(y) * own.scaling), k, v, causal))
            cross = layer.encoder_attn
            y = layer.encoder_attn_layer_norm(x)
            if self.with_past:
                crossed = past[4 * i + 2], past[4 * i + 3]
                present += [k, v]
            else:
                crossed = heads(cross.k_proj(encoder_hidden_states)), heads(cross.v_proj(encoder_hidden_states))
                present += [k, v, *crossed]
            x = x + cross.out_proj(attend(heads(cross.q_proj(y) * cross.scaling), *crossed))
            y = layer.final_layer_norm(x)
            x = x + layer.fc2(layer.activation_fn(layer.fc1(y)))
        logits = decoder.layer_norm(x) @ decoder.embed_tokens.weight.T
        return (logits, *present)


def export_encoder(model, folder):
    dynamic = {"input_features": {0: "batch_size"}, "last_hidden_state": {0: "batch_size"}}
    features = torch.randn(2, MELS, 3000)
    return export(Encoder(model), (features,), folder / "encoder.onnx", ["input_features"], ["last_hidden_state"], dynamic)


def export_decoder(model, folder):
    make = lambda with_past: Decoder(model, with_past)
    return export_merged(make, folder, LAYERS, HEADS, WIDTH, model.config.vocab_size, 1500)


def greedy(model, hidden, prompt, timestamps, compared=False, limit=MAX_NEW_TOKENS):
    """One recording, token by token, without a cache, with transformers' own rules. Also says how near a second choice came."""
    generation = model.generation_config
    rules = [
        SuppressTokensAtBeginLogitsProcessor(generation.begin_suppress_tokens, len(prompt)),
        SuppressTokensLogitsProcessor(generation.suppress_tokens),
    ]
    if timestamps:
        rules.append(WhisperTimeStampLogitsProcessor(generation, begin_index=len(prompt)))
    tokens, total, margin = list(prompt), 0.0, float("inf")
    while len(tokens) - len(prompt) < limit:
        ids = torch.tensor([tokens])
        logits = model(encoder_outputs=(hidden,), decoder_input_ids=ids).logits[:, -1].float()
        for rule in rules:
            logits = rule(ids, logits)
        best = logits[0].topk(2)
        token = int(best.indices[0])
        margin = min(margin, float(best.values[0] - best.values[1]))
        total += float(logits.log_softmax(-1)[0, token])
        tokens.append(token)
        if token == generation.eos_token_id:
            break
    if compared:
        # The loop of transformers, with its cache. Whisper's own `generate` cuts answers at their last pair of times.
        whole = super(WhisperGenerationMixin, model).generate(
            encoder_outputs=BaseModelOutput(hidden), decoder_input_ids=torch.tensor([prompt]), logits_processor=rules,
            generation_config=GenerationConfig(
                max_new_tokens=limit, eos_token_id=generation.eos_token_id, pad_token_id=generation.eos_token_id,
                do_sample=False,
            ),
        )  # fmt: skip
        assert whole[0].tolist() == tokens, (whole[0].tolist(), tokens)
    made = tokens[len(prompt) :]
    count = len(made) + (made[-1] != generation.eos_token_id)
    return made, total / count, margin


def is_promising(model, hidden, ids):
    """A quick look, so that most seeds cost little."""
    prompt = [ids["<|startoftranscript|>"], ids["<|en|>"], ids["<|transcribe|>"]]
    lengths = set()
    for i in range(len(RECORDINGS)):
        made, _, margin = greedy(model, hidden[i : i + 1], prompt, True)
        if margin < 5e-4 or len(made) < 8 or len(set(made)) < 7:
            return False
        lengths.add(len(made))
    return len(lengths) > 1


def refer(model, ids, extractor, tokenizer, compared=False):
    reference, margins = {}, []
    features = [
        extractor._np_extract_fbank_features(np.pad(read_wav(name), (0, 480000 - len(read_wav(name))))[None], "cpu")[0]
        for name in RECORDINGS
    ]
    batch = torch.tensor(np.stack(features), dtype=torch.float32)
    hidden = model.model.encoder(batch).last_hidden_state
    if not compared and not is_promising(model, hidden, ids):
        return None, 0, features, hidden
    start = ids["<|startoftranscript|>"]
    prompt = [start, ids["<|en|>"], ids["<|transcribe|>"]]
    languages = [ids[f"<|{language}|>"] for language in LANGUAGES]
    for i, name in enumerate(RECORDINGS):
        own = hidden[i : i + 1]
        first = model(encoder_outputs=(own,), decoder_input_ids=torch.tensor([[start]])).logits[0, 0].float()
        plain, plain_logprob, m1 = greedy(model, own, [*prompt, ids["<|notimestamps|>"]], False, compared)
        timed, timed_logprob, m2 = greedy(model, own, prompt, True, compared)
        translated, _, m3 = greedy(model, own, [start, ids["<|de|>"], ids["<|translate|>"]], True, compared)
        margins += [m1, m2, m3]
        mel, out = features[i], own[0].detach().numpy()
        reference[name] = {
            "samples": len(read_wav(name)),
            "mel": {
                "frames": {str(t): rounded(mel[:, t]) for t in (0, 1, 50, 120, 170, 2999)},
                "mean": float(mel.mean(dtype=np.float64)),
                "deviation": float(mel.std(dtype=np.float64)),
                "highest": float(mel.max()),
                "lowest": float(mel.min()),
            },
            "encoder": {
                "rows": {str(t): rounded(out[t]) for t in (0, 40, 80, 200, 1499)},
                "mean": float(out.mean(dtype=np.float64)),
                "deviation": float(out.std(dtype=np.float64)),
            },
            "languages": dict(zip(LANGUAGES, rounded(first[languages].softmax(-1).detach()))),
            "no_speech": float(first.softmax(-1)[ids["<|nospeech|>"]]),
            "without_timestamps": {
                "tokens": plain, "average_logprob": plain_logprob,
                "text": tokenizer.decode(plain, skip_special_tokens=True),
            },  # fmt: skip
            "with_timestamps": {"tokens": timed, "average_logprob": timed_logprob},
            "german_translated": {"tokens": translated},
        }
    return reference, min(margins), features, hidden


def compare_onnx(folder, reference_hidden, features, model, ids):
    """The exports against PyTorch, the decoder with and without its cache."""
    run = lambda name: onnxruntime.InferenceSession(str(folder / "onnx" / name))
    encoder, decoder = run("encoder_model.onnx"), run("decoder_model_merged.onnx")
    hidden = encoder.run(None, {"input_features": np.stack(features).astype(np.float32)})[0]
    assert np.abs(hidden - reference_hidden.detach().numpy()).max() < 1e-4
    tokens = np.array([[ids["<|startoftranscript|>"], ids["<|en|>"], 5, 17, 300, 8]] * len(features))
    expected = model(encoder_outputs=(reference_hidden,), decoder_input_ids=torch.tensor(tokens)).logits.detach().numpy()
    past = {name: np.zeros((len(features), HEADS, 0, WIDTH // HEADS), np.float32) for name in names("past_key_values", LAYERS)}
    feeds = {"encoder_hidden_states": hidden, "use_cache_branch": np.array([False]), "input_ids": tokens[:, :3], **past}
    logits, *present = decoder.run(None, feeds)
    assert np.abs(logits - expected[:, :3]).max() < 1e-4
    cache = dict(zip(names("past_key_values", LAYERS), present))
    for at in range(3, 6):
        feeds = {"encoder_hidden_states": hidden, "use_cache_branch": np.array([True]), "input_ids": tokens[:, at : at + 1]}
        logits, *present = decoder.run(None, {**feeds, **cache})
        assert np.abs(logits[:, 0] - expected[:, at]).max() < 1e-4, np.abs(logits[:, 0] - expected[:, at]).max()
        fresh = dict(zip(names("past_key_values", LAYERS), present))
        cache.update({name: value for name, value in fresh.items() if ".decoder." in name})


def judge(reference, ids, margin):
    """Whether the random weights are of use: recordings differ, some end, text and times are mixed, no choice is a near tie."""
    end, first_time = ids["<|endoftext|>"], ids["<|0.00|>"]
    timed = [r["with_timestamps"]["tokens"] for r in reference.values()]
    plain = [r["without_timestamps"]["tokens"] for r in reference.values()]
    ends = [t[-1] == end for t in timed + plain]
    tongues = {max(r["languages"], key=r["languages"].get) for r in reference.values()}
    times = min(sum(t >= first_time for t in tokens) for tokens in timed)
    return (
        margin > 5e-4
        and len({tuple(t) for t in timed}) == len({tuple(t) for t in plain}) == len(RECORDINGS)
        and 0 < sum(ends) < len(ends)
        and len({len(t) for t in timed}) > 1
        and len(tongues) > 1
        and times >= 3
        and min(len(set(t)) for t in timed + plain) > 6
    )


@torch.no_grad()
def main():
    # Small as all of it is, threads would only wait for each other.
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    tokenizer = make_tokenizer()
    extractor = WhisperFeatureExtractor(feature_size=MELS)
    for seed in [SEED] if SEED is not None else range(1, 400):
        model, ids = make_model(tokenizer, seed)
        reference, margin, features, hidden = refer(model, ids, extractor, tokenizer)
        good = reference is not None and judge(reference, ids, margin)
        if reference is None:
            print(seed, "no", flush=True)
            continue
        print(seed, f"{margin:.4f}", [len(r["with_timestamps"]["tokens"]) for r in reference.values()],
              [len(r["without_timestamps"]["tokens"]) for r in reference.values()], good, flush=True)  # fmt: skip
        if good:
            # Once more, with transformers' own loop beside the one above.
            refer(model, ids, extractor, tokenizer, compared=True)
            break
    else:
        raise SystemExit("No seed is of use.")
    (OUT / "onnx").mkdir(parents=True, exist_ok=True)
    scratch = OUT / "onnx"
    encoder, decoder = export_encoder(model, scratch), export_decoder(model, scratch)
    (scratch / "encoder.onnx").unlink()
    onnx.save(encoder, str(scratch / "encoder_model.onnx"))
    onnx.save(decoder, str(scratch / "decoder_model_merged.onnx"))
    compare_onnx(OUT, hidden, features, model, ids)

    def write(name, content):
        (OUT / name).write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n")

    write("config.json", json.loads(model.config.to_json_string()))
    write("generation_config.json", json.loads(model.generation_config.to_json_string()))
    write("preprocessor_config.json", {
        k: v for k, v in json.loads(extractor.to_json_string()).items() if k not in ("mel_filters",)
    })  # fmt: skip
    (OUT / "tokenizer.json").write_text(json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False) + "\n")
    write("tokenizer_config.json", {"tokenizer_class": "WhisperTokenizer", "clean_up_tokenization_spaces": False})
    write("reference.json", {
        "made_by": {"torch": torch.__version__, "transformers": transformers.__version__, "seed": seed},
        "max_new_tokens": MAX_NEW_TOKENS,
        "recordings": reference,
    })  # fmt: skip


main()
