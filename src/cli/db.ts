import { Command } from "commander";
import { backupCommand, restoreCommand } from "./db/backup.ts";
import { rotateMasterCommand } from "./db/rotate-master.ts";
import { serveCommand } from "./db/serve.ts";
import { statusCommand } from "./db/status.ts";

export function command(): Command {
  return new Command("db")
    .description("Run an encrypted InfluxDB: unmodified influxd on a sealed volume, a key for each shard.")
    .addCommand(serveCommand())
    .addCommand(statusCommand())
    .addCommand(backupCommand())
    .addCommand(restoreCommand())
    .addCommand(rotateMasterCommand());
}
