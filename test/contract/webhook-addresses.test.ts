import { createSocket } from "node:dgram";
import { once } from "node:events";
import { describe, expect, test } from "vitest";
import { createAddressPolicy, isPublicAddress } from "../../regions/webhooks/address-policy.ts";
import { createPostWebhook } from "../../regions/webhooks/post-webhook.ts";
import { createResolveNames, type Resolve } from "../../regions/webhooks/resolve-names.ts";

const PRIVATE = [
  "0.0.0.0",
  "10.1.2.3",
  "100.64.0.1",
  "127.0.0.1",
  "127.255.255.254",
  "169.254.169.254",
  "172.16.0.1",
  "172.31.255.255",
  "192.0.0.8",
  "192.0.2.1",
  "192.168.1.1",
  "198.19.0.1",
  "203.0.113.9",
  "224.0.0.1",
  "255.255.255.255",
  "::",
  "::1",
  "::ffff:10.0.0.1",
  "::ffff:8.8.8.8",
  "::127.0.0.1",
  "64:ff9b::a00:1",
  "64:ff9b:1::1",
  "100::1",
  "2001::1",
  "2001:db8::1",
  "2002:a00:1::1",
  "3fff::1",
  "5f00::1",
  "fc00::1",
  "fd00:ec2::254",
  "fe80::1",
  "fe80::1%eth0",
  "fec0::1",
  "ff02::1",
  "example.com",
  "",
];
const PUBLIC = [
  "1.1.1.1",
  "8.8.8.8",
  "100.63.0.1",
  "172.32.0.1",
  "2606:4700::1111",
  "2a00:1450::1",
];

test("what is not of the public internet is told from what is, also where an IPv4 address hides in IPv6", () => {
  expect(PRIVATE.filter(isPublicAddress)).toEqual([]);
  expect(PUBLIC.filter((address) => !isPublicAddress(address))).toEqual([]);
});

describe("in production", () => {
  const policy = createAddressPolicy();

  test("only https to a public name or address, on a port for it, without credentials", () => {
    const allowed = [
      "https://example.com/hook?a=b",
      "https://example.com:8443/",
      "https://1.1.1.1/",
      "https://[2606:4700::1111]/",
    ];
    const refused = [
      "http://example.com/",
      "ftp://example.com/",
      "https://user@example.com/",
      "https://:secret@example.com/",
      "https://example.com:22/",
      "https://example.com:6379/",
      "https://127.0.0.1/",
      "https://[::1]/",
      "https://[::ffff:169.254.169.254]/",
      // Other ways to write 127.0.0.1 and 169.254.169.254.
      "https://2130706433/",
      "https://0x7f.1/",
      "https://0177.0.0.1/",
      "https://169.254.43518/",
      "https://１２７.0.0.1/",
    ];
    expect(allowed.filter((url) => policy.faultOf(url) !== undefined)).toEqual([]);
    expect(refused.filter((url) => policy.faultOf(url) === undefined)).toEqual([]);
  });

  test("the name of this machine leads nowhere", async () => {
    const error = await new Promise((resolve) =>
      policy.lookup("localhost", { all: true }, (failure) => resolve(failure)),
    );
    // Whether name servers know it or not.
    expect(error).toBeInstanceOf(Error);
  });
});

/** A name server that answers for `good.test` (1.2.3.4) and `bad.test` (10.0.0.1), and for all other names never. */
async function startNameServer() {
  const socket = createSocket("udp4");
  const addresses = new Map([
    ["good", [1, 2, 3, 4]],
    ["bad", [10, 0, 0, 1]],
  ]);
  socket.on("message", (question, from) => {
    const length = question[12]!;
    const address = addresses.get(question.toString("latin1", 13, 13 + length));
    if (!address) return;
    const end = question.indexOf(0, 12) + 5;
    const isV4 = question.readUInt16BE(end - 4) === 1;
    const head = Buffer.from(question.subarray(0, 12));
    head.writeUInt16BE(0x8180, 2);
    head.writeUInt16BE(isV4 ? 1 : 0, 6);
    head.fill(0, 8);
    const record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, ...address];
    socket.send(
      Buffer.concat([head, question.subarray(12, end), Buffer.from(isV4 ? record : [])]),
      from.port,
      from.address,
    );
  });
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return { server: `127.0.0.1:${socket.address().port}`, close: () => socket.close() };
}

test("names are asked of name servers, beside each other; of one that nobody answers for there is an end", async () => {
  const { server, close } = await startNameServer();
  try {
    const names = Array.from({ length: 20 }, (_, n) => `silent-${n}.test`);
    // None of what is asked of this one comes to an end while a busy machine holds up an answer.
    const patient = createResolveNames({ timeoutMs: 30_000, servers: [server] });
    let ended = 0;
    for (const name of names) patient(name).catch(() => ended++);
    expect(await patient("good.test")).toEqual([{ address: "1.2.3.4", family: 4 }]);
    expect(ended).toBe(0);
    const resolve = createResolveNames({ timeoutMs: 500, servers: [server] });
    const silent = await Promise.allSettled(names.map((name) => resolve(name)));
    for (const each of silent) expect(each).toMatchObject({ reason: { code: "ETIMEOUT" } });

    const send = (host: string, by: Resolve) =>
      createPostWebhook({ addresses: createAddressPolicy({ resolve: by }) })(
        `https://${host}/`,
        { body: "{}", headers: {} },
        new AbortController().signal,
      );
    expect(await send("bad.test", patient)).toEqual({ error: "address_refused" });
    expect(await send("silent.test", resolve)).toEqual({ error: "name_not_found" });
  } finally {
    close();
  }
});

test("in development this machine may be called, and no other private address", () => {
  const policy = createAddressPolicy({ allowLoopback: true });
  for (const url of ["http://127.0.0.1:9000/", "http://[::1]:80/", "http://localhost:1234/"]) {
    expect(policy.faultOf(url)).toBeUndefined();
  }
  for (const url of ["http://10.0.0.1/", "https://169.254.169.254/", "http://[fd00::1]/"]) {
    expect(policy.faultOf(url)).toBe("must lead to a public address");
  }
});
