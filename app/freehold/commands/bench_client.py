"""The HTTP client of `freehold bench engine`: raw sockets, so that it costs as little as it can.

Reads one line of JSON per measurement on standard input and answers with tokens per second.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time


async def stream(port: int, model: str, prompt: str, tokens: int, key: str) -> int:
    """Return the tokens one streamed completion used, counted by the server's usage."""
    body = json.dumps(
        {
            "model": model,
            "prompt": prompt,
            "max_tokens": tokens,
            "temperature": 0,
            "ignore_eos": True,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    ).encode()
    head = (
        f"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"Authorization: Bearer {key}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head.encode() + body)
    parts = []
    while part := await reader.read(1 << 16):
        parts.append(part)
    writer.close()
    answer = b"".join(parts)
    if b"[DONE]" not in answer:
        raise ValueError(answer[-300:].decode("utf-8", "replace"))
    usage = answer.rindex(b'"completion_tokens":') + len(b'"completion_tokens":')
    return int(answer[usage : usage + 12].split(b",")[0].split(b"}")[0])


async def measure(asked: dict[str, object], key: str) -> float:
    """Return tokens per second of all streams together, prompts included."""
    port, model, tokens = int(str(asked["port"])), str(asked["model"]), int(str(asked["tokens"]))
    prompts = asked["prompts"]
    assert isinstance(prompts, list)
    began = time.perf_counter()
    counts = await asyncio.gather(*(stream(port, model, text, tokens, key) for text in prompts))
    return sum(counts) / (time.perf_counter() - began)


def main() -> None:
    """Answer measurements until standard input ends."""
    key = os.environ["FREEHOLD_KEY"]
    for line in sys.stdin:
        try:
            answer: dict[str, object] = {
                "tokens_per_s": asyncio.run(measure(json.loads(line), key))
            }
        except (ValueError, OSError) as error:
            answer = {"error": str(error)[:300]}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
