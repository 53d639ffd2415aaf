"""Run as a process: load the GGUF file given (and an adapter), answer stdin with tokens, logits, metadata as JSON."""

import ctypes
import json
import os
import sys

import llama_cpp
import numpy as np


def tokens(vocab: object, text: str) -> list[int]:
    data = text.encode()
    found = (llama_cpp.llama_token * (len(data) + 8))()
    count = llama_cpp.llama_tokenize(vocab, data, len(data), found, len(found), False, True)
    return list(found[:count])


def logits(model: object, prompt: list[int]) -> list[list[float]]:
    parameters = llama_cpp.llama_context_default_params()
    parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = 256
    parameters.n_threads = parameters.n_threads_batch = 1
    parameters.type_k = parameters.type_v = 0  # float32: the cache must not blur the comparison
    parameters.flash_attn_type = 0
    context = llama_cpp.llama_init_from_model(model, parameters)
    if len(sys.argv) > 2:
        adapter = llama_cpp.llama_adapter_lora_init(model, os.fsencode(sys.argv[2]))
        assert adapter, "llama.cpp cannot load the adapter"
        adapters = (llama_cpp.llama_adapter_lora_p_ctypes * 1)(adapter)
        assert llama_cpp.llama_set_adapters_lora(context, adapters, 1, (ctypes.c_float * 1)(1.0)) == 0
    batch = llama_cpp.llama_batch_init(len(prompt), 0, 1)
    batch.n_tokens = len(prompt)
    for position, token in enumerate(prompt):
        batch.token[position] = token
        batch.pos[position] = position
        batch.n_seq_id[position] = 1
        batch.seq_id[position][0] = 0
        batch.logits[position] = 1
    assert llama_cpp.llama_decode(context, batch) == 0
    width = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
    rows = [
        np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(context, i), (width,)).tolist() for i in range(len(prompt))
    ]
    llama_cpp.llama_batch_free(batch)
    llama_cpp.llama_free(context)
    return rows


def metadata(model: object) -> dict[str, str]:
    buffer = ctypes.create_string_buffer(1 << 14)
    found = {}
    for index in range(llama_cpp.llama_model_meta_count(model)):
        llama_cpp.llama_model_meta_key_by_index(model, index, buffer, len(buffer))
        key = buffer.value.decode()
        llama_cpp.llama_model_meta_val_str_by_index(model, index, buffer, len(buffer))
        found[key] = buffer.value.decode(errors="replace")
    return found


def main() -> None:
    request = json.load(sys.stdin)
    llama_cpp.llama_backend_init()
    model = llama_cpp.llama_model_load_from_file(os.fsencode(sys.argv[1]), llama_cpp.llama_model_default_params())
    assert model, "llama.cpp cannot load the file"
    vocab = llama_cpp.llama_model_get_vocab(model)
    answer = {
        "tokens": [tokens(vocab, text) for text in request["texts"]],
        "logits": logits(model, request["prompt"]) if request["prompt"] else [],
        "metadata": metadata(model),
        "eos": llama_cpp.llama_vocab_eos(vocab),
        "add_bos": bool(llama_cpp.llama_vocab_get_add_bos(vocab)),
        "control": [
            token
            for token in range(llama_cpp.llama_vocab_n_tokens(vocab))
            if llama_cpp.llama_vocab_is_control(vocab, token)
        ],
    }
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
