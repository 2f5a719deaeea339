import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { Redis } from "ioredis";

const MODULE = resolve(import.meta.dirname, "../../terraform/modules/queue/main.tf");

/** Makes the user that services have in production, with the rights that terraform gives it, and returns the URL it logs in by. */
export async function addServicesUser(url: string): Promise<string> {
  const access = /^\s+access = "(.+)"$/m.exec(await readFile(MODULE, "utf8"))?.[1];
  if (access === undefined) throw new Error(`${MODULE} has no access string`);
  const redis = new Redis(url);
  try {
    await redis.call("ACL", "SETUSER", "services", ">services", ...access.split(" "));
  } finally {
    redis.disconnect();
  }
  const own = new URL(url);
  own.username = "services";
  own.password = "services";
  return own.href;
}
