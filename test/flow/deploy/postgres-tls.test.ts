import { execFile } from "node:child_process";
import { chmod, chown, copyFile, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { startPostgres, type TestCluster, type TestServer } from "../../support/postgres.ts";

const certificates = resolve(import.meta.dirname, "../../fixtures/tls");
let cluster: TestCluster;
beforeAll(async () => {
  cluster = await startPostgres({ replica: true });
  await speakTls(cluster.primary);
  await speakTls(cluster.replica!);
});
afterAll(() => cluster.close());

async function speakTls({ server }: TestServer): Promise<void> {
  const owner = await stat(server.dataDir);
  for (const name of ["server.pem", "server-key.pem"]) {
    const path = join(server.dataDir, name);
    await copyFile(join(certificates, name), path);
    await chmod(path, 0o600);
    await chown(path, owner.uid, owner.gid);
  }
  const superuser = server.connectAsSuperuser();
  await superuser`alter system set ssl_cert_file = 'server.pem'`;
  await superuser`alter system set ssl_key_file = 'server-key.pem'`;
  await superuser`alter system set ssl = on`;
  await superuser`select pg_reload_conf()`;
  await vi.waitFor(async () => expect((await superuser`show ssl`)[0]).toEqual({ ssl: "on" }), {
    timeout: 20_000,
  });
  await superuser.end();
}

async function connect(authorities?: string): Promise<unknown> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [
      join(import.meta.dirname, "read-over-tls-process.ts"),
      `${cluster.clusterUrl}?sslmode=verify-full`,
    ],
    {
      env: {
        PATH: process.env["PATH"],
        ...(authorities ? { NODE_EXTRA_CA_CERTS: authorities } : {}),
      },
    },
  );
  return JSON.parse(stdout);
}

test("by a URL as terraform makes them, the primary among several servers is found, and spoken to by TLS", async () => {
  expect(await connect(join(certificates, "server.pem"))).toEqual({ ssl: true, standby: false });
});

test("a server whose certificate nobody vouches for is not spoken to", async () => {
  expect(await connect()).toEqual({
    code: "CONNECT_NO_PRIMARY",
    causes: [expect.stringContaining("self-signed"), expect.stringContaining("self-signed")],
  });
});
