import { Command } from "commander";
import { benchAccept } from "./accept.ts";
import { benchBatching } from "./batching.ts";
import { benchCached } from "./cached.ts";
import { benchEdge } from "./edge.ts";
import { benchFeatures } from "./features.ts";
import { benchPartitions } from "./partitions.ts";
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
  .command("edge")
  .description(
    "Requests through the whole edge Worker, against a bare Worker under the same workerd.",
  )
  .option("--json", "print only one JSON object", false)
  .action((options: { json: boolean }) => benchEdge(options));

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

program
  .command("partitions")
  .description("Removing a month of two years by its partition, against DELETE from a flat table.")
  .option("--json", "print only one JSON object", false)
  .option("--rows <n>", "rows in all", Number, 5_000_000)
  .action((options: { json: boolean; rows: number }) => benchPartitions(options));

program
  .command("cached")
  .description(
    "From request to result of a minute seen before, through the edge, against a new one.",
  )
  .option("--json", "print only one JSON object", false)
  .action((options: { json: boolean }) => benchCached(options));

await program.parseAsync();
