import { createServer } from "node:net";

/*
 * Stands in for S3 in the bench `accept`: answers each HEAD with an object's facts. S3 answers thousands
 * of them a second beside us; the planet's own store would take longer for one than the API for a job, on the same cores, and
 * the bench would measure that. Written on bare sockets for the same reason. Environment: PORT.
 */

const FOUND =
  "HTTP/1.1 200 OK\r\nx-amz-id-2: Zm9yIHRoZSBsZW5ndGggb2YgaXQsIGFuZCBubyBtb3JlIHRoYW4gdGhhdCBpbmRlZWQ=\r\n" +
  'x-amz-request-id: 4442587FB7D0A2F9\r\ndate: Thu, 01 Jan 2026 00:00:00 GMT\r\nlast-modified: Thu, 01 Jan 2026 00:00:00 GMT\r\netag: "fba9dede5f27731c9771645a39863328"\r\n' +
  "x-amz-server-side-encryption: AES256\r\naccept-ranges: bytes\r\ncontent-type: audio/wav\r\ncontent-length: 85178\r\nserver: AmazonS3\r\n\r\n";

createServer((socket) => {
  let text = "";
  socket.setNoDelay(true).on("data", (chunk) => {
    text += chunk.toString("latin1");
    for (let end = text.indexOf("\r\n\r\n"); end >= 0; end = text.indexOf("\r\n\r\n")) {
      socket.write(FOUND);
      text = text.slice(end + 4);
    }
  });
  socket.on("error", () => undefined);
}).listen(Number(process.env["PORT"]), "127.0.0.1");
