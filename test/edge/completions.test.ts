import { describe, expect, test } from "vitest";
import type { CompletionOffer } from "../../shared/contracts/completion.ts";
import { CompletionVerdicts } from "../../shared/contracts/completion.ts";
import { SIGNATURE_HEADER, signLinkRequest } from "../../shared/signing/link-signature.ts";
import { edgeBindings, linkSecretOf } from "./support/bindings.ts";
import { draftOf, offerOf, shardOf } from "./support/jobs.ts";
import { codeOf, newTenant, startEdge } from "./support/start-edge.ts";

const PATH = "/internal/completions";

function ready(more: Parameters<typeof startEdge>[0] = {}) {
  const edge = startEdge(more);
  async function offer(
    offers: readonly CompletionOffer[],
    { region = "us-east", secret = linkSecretOf(region), audience = "edge", at = Date.now() } = {},
  ) {
    const body = JSON.stringify({ offers });
    const request = { method: "POST", target: PATH, body, audience };
    const headers = {
      "antiphon-region": region,
      [SIGNATURE_HEADER]: await signLinkRequest(secret, request, at),
    };
    const send = () => edge.call(PATH, { body, headers });
    return { send, body, headers };
  }
  return { ...edge, offer };
}

async function accepted(tenantId: string) {
  const draft = draftOf(tenantId);
  await shardOf(draft).reserve(draft, "us-east");
  await shardOf(draft).accept(draft.id, 1);
  return draft;
}

describe("offers of a region", () => {
  test("over many shards get their verdicts in order", async () => {
    const { offer } = ready();
    const jobs = await Promise.all(Array.from({ length: 20 }, () => accepted(newTenant())));
    const offers = jobs.flatMap((job) => [
      offerOf(job, { dispatch: 1, attempt: 2 }),
      offerOf(job, { dispatch: 1, attempt: 1 }),
    ]);
    offers.push(offerOf(draftOf(newTenant()), { dispatch: 1, attempt: 1 }));
    offers.push({ ...offers[0]!, job_id: offers[0]!.job_id.replace("_use_", "_xyz_") });
    const { send } = await offer(offers);
    const { verdicts } = CompletionVerdicts.parse(await (await send()).json());
    expect(verdicts.map(({ job_id, epoch }) => [job_id, epoch])).toEqual(
      offers.map(({ job_id, epoch }) => [job_id, epoch]),
    );
    const pairs = jobs.flatMap(() => ["accepted", "superseded"]);
    expect(verdicts.map(({ verdict }) => verdict)).toEqual([...pairs, "unknown", "unknown"]);
  });

  test("that come again after a lost answer get the same verdicts", async () => {
    const { offer } = ready();
    const job = await accepted(newTenant());
    const offers = [offerOf(job, { dispatch: 1, attempt: 1 })];
    const answers = [];
    for (let i = 0; i < 2; i++) answers.push(await (await (await offer(offers)).send()).json());
    expect(answers[1]).toEqual(answers[0]);
    expect(answers[0]).toMatchObject({ verdicts: [{ verdict: "accepted" }] });
  });

  test("get what verdicts there are when a shard is away, and none when all are", async () => {
    const jobs = await Promise.all(Array.from({ length: 3 }, () => accepted(newTenant())));
    const offers = jobs.map((job) => offerOf(job, { dispatch: 1, attempt: 1 }));
    const send = async (awayJobs: typeof jobs) => {
      const away = new Set(awayJobs.map((job) => shardOf(job).id.toString()));
      const { LEDGER } = edgeBindings();
      const broken = new Proxy(LEDGER, {
        get: (target, name) =>
          name === "get"
            ? (id: DurableObjectId, options?: object) => {
                if (away.has(id.toString())) throw new Error("the object is overloaded");
                return target.get(id, options);
              }
            : (Reflect.get(target, name) as () => unknown).bind(target),
      });
      const { offer } = ready({ LEDGER: broken });
      return (await offer(offers)).send();
    };
    const some = CompletionVerdicts.parse(await (await send([jobs[1]!])).json());
    expect(some.verdicts.map(({ job_id, verdict }) => [job_id, verdict])).toEqual([
      [jobs[0]!.id, "accepted"],
      [jobs[2]!.id, "accepted"],
    ]);
    expect(await codeOf(await send(jobs))).toBe("dependency_unavailable");
    const all = CompletionVerdicts.parse(await (await send([])).json());
    expect(all.verdicts.map(({ verdict }) => verdict)).toEqual([
      "accepted",
      "accepted",
      "accepted",
    ]);
  });

  test("count only under the region's own signature, made for the edge, now, and once", async () => {
    const { offer, call } = ready();
    const job = await accepted(newTenant());
    const offers = [offerOf(job, { dispatch: 1, attempt: 1 })];
    const code = async (options: Parameters<typeof offer>[1]) =>
      codeOf(await (await offer(offers, options)).send());
    expect(await code({ secret: linkSecretOf("eu-west") })).toBe("invalid_signature");
    expect(await code({ audience: "us-east" })).toBe("invalid_signature");
    expect(await code({ region: "mars-north" })).toBe("invalid_signature");
    expect(await code({ region: "__proto__" })).toBe("invalid_signature");
    expect(await code({ at: Date.now() - 61_000 })).toBe("replayed_request");
    expect(await codeOf(await call(PATH, { body: { offers } }))).toBe("unsigned_request");
    const { headers } = await offer(offers);
    const changed = { offers: [{ ...offers[0]!, status: "failed" }] };
    expect(await codeOf(await call(PATH, { body: changed, headers }))).toBe("invalid_signature");
    expect(await shardOf(job).status(job.id)).toMatchObject({ state: "accepted" });
    const good = await offer(offers);
    expect((await good.send()).status).toBe(200);
    expect(await codeOf(await good.send())).toBe("replayed_request");
  });

  test("cannot end what runs in another region", async () => {
    const { offer } = ready();
    const job = await accepted(newTenant());
    const offers = [offerOf(job, { dispatch: 1, attempt: 1 })];
    const { send } = await offer(offers, { region: "eu-west" });
    expect(await codeOf(await send())).toBe("invalid_request");
    expect(await shardOf(job).status(job.id)).toMatchObject({ state: "accepted" });
  });

  test("beyond the limit are not read", async () => {
    const { call } = ready();
    const headers = { "antiphon-region": "us-east", [SIGNATURE_HEADER]: "v1 x" };
    const body = " ".repeat(1024 * 1024 + 1);
    expect(await codeOf(await call(PATH, { body, headers }))).toBe("body_too_large");
  });
});
