import { expect, test } from "vitest";
import {
  clientOf,
  eventually,
  longRecording,
  operator,
  rows,
  sample,
  submitBytes,
} from "./planet-under-test.ts";

test("a job that runs is canceled, is listed so, and stays so; one that has ended cannot be", async () => {
  const client = clientOf({ region: "eu-west" });
  const { id } = await submitBytes(client, await longRecording(900), "audio/wav", {
    parts: ["voice_activity", "features"],
  });
  await eventually(async () => ((await client.getJob(id)).status === "running" ? true : undefined));
  await client.cancelJob(id);
  expect(await client.waitForJob(id)).toMatchObject({ status: "canceled", region: "eu-west" });
  expect(await client.cancelJob(id)).toMatchObject({ id, status: "canceled" });
  const [row] = await eventually(async () => {
    const found = await rows<{ status: string }>(
      "us-east",
      "select status from jobs where id = $1",
      [id],
    );
    return found.length > 0 ? found : undefined;
  });
  expect(row).toEqual({ status: "canceled" });

  const ended = await submitBytes(client, await sample());
  await client.waitForJob(ended.id);
  await expect(client.cancelJob(ended.id)).rejects.toMatchObject({
    problem: { status: 409, code: "cancel_too_late" },
  });
  // What its owner stopped is no matter for operators.
  const { data, away } = await operator.admin.listDeadLetters({ region: "eu-west" });
  expect(data.filter(({ job_id }) => job_id === id)).toEqual([]);
  expect(away).toEqual([]);
});
