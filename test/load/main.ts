import { Command } from "commander";
import { benchAccept } from "./accept.ts";
import { benchBatching } from "./batching.ts";
import { benchFeatures } from "./features.ts";
import { benchRouting } from "./routing.ts";
import { benchQueue } from "./queue.ts";
import { benchWrites } from "./writes.ts";

const program = new Command("bench").description("How fast it is, against references.");

program
  .command("features")
  .description("Seconds of speech per second for the 88 features of eGeMAPSv02, on one core.")
  .option("--json", "print only one JSON object", false)
  .action((options: { json: boolean }) => benchFeatures(options));

program
  .command("batching")
  .description("Frames per second of silero with many real-time streams that share its calls.")
  .option("--json", "print only one JSON object", false)
  .action((options: { json: boolean }) => benchBatching(options));

program
  .command("queue")
  .description("No-op jobs per second through the queue, against BullMQ and bare Redis Streams.")
  .option("--json", "print only one JSON object", false)
  .action((options: { json: boolean }) => benchQueue(options));

program
  .command("accept")
  .description("Jobs that a region's API takes per second of CPU, against a bare Hono route.")
  .option("--json", "print only one JSON object", false)
  .action((options: { json: boolean }) => benchAccept(options));

program
  .command("routing")
  .description("How long jobs take under the workers' claim rule, against balancers and an oracle.")
  .option("--json", "print only one JSON object", false)
  .action((options: { json: boolean }) => benchRouting(options));

program
  .command("writes")
  .description("Results per second from the outbox into Postgres, against single INSERTs and COPY.")
  .option("--json", "print only one JSON object", false)
  .action((options: { json: boolean }) => benchWrites(options));

await program.parseAsync();
