import { useActivity } from "../activity.ts";
import { api } from "../api.ts";
import { useLoaded } from "../loading.ts";
import { ActivityChart } from "../parts/activity-chart.tsx";
import { Problem } from "../parts/problem.tsx";
import { Records } from "../parts/records.tsx";
import { Section } from "../parts/section.tsx";
import { useSettings } from "../settings.tsx";

const latest = 8;

export function OverviewView() {
  const { text } = useSettings();
  const { buckets, live } = useActivity();
  const keys = useLoaded(api.keys);
  const nodes = useLoaded(api.nodes);
  const refused = useLoaded(() => api.searchAudit({ denied: true, order: "newest", limit: latest }));
  const enabledKeys = keys.value?.filter((key) => key.state === "enabled").length;
  const enabledNodes = nodes.value?.nodes.filter((node) => node.state === "enabled").length;
  const sum = (name: "unwraps" | "refusals") => buckets.reduce((total, each) => total + each[name], 0);
  const refresh = () => {
    keys.reload();
    nodes.reload();
    refused.reload();
  };
  return (
    <Section title={text("nav.overview")} onRefresh={refresh}>
      <Problem error={keys.error ?? nodes.error} />
      <div class="tiles">
        <Tile
          label={text("overview.keysEnabled")}
          value={enabledKeys}
          note={text("overview.keysOther", { count: (keys.value?.length ?? 0) - (enabledKeys ?? 0) })}
        />
        <Tile
          label={text("overview.nodesEnabled")}
          value={enabledNodes}
          note={text("overview.nodesRevoked", { count: (nodes.value?.nodes.length ?? 0) - (enabledNodes ?? 0) })}
        />
        <Tile label={text("overview.unwraps")} value={sum("unwraps")} />
        <Tile label={text("overview.refusals")} value={sum("refusals")} alarming={sum("refusals") > 0} />
      </div>
      <section class="card">
        <div class="card-head">
          <div>
            <h2>{text("overview.chart")}</h2>
            <p class="intro">{text("overview.chartHint")}</p>
          </div>
          <span class={live ? "live on" : "live"}>{text(live ? "overview.live" : "overview.waiting")}</span>
        </div>
        <ActivityChart
          buckets={buckets}
          label={`${text("overview.unwraps")}: ${sum("unwraps")}. ${text("overview.refusals")}: ${sum("refusals")}.`}
        />
      </section>
      <section class="card">
        <h2>{text("overview.latestRefusals")}</h2>
        <Problem error={refused.error} />
        {refused.value !== undefined && (
          <Records
            records={refused.value.records}
            caption={text("overview.latestRefusals")}
            empty="overview.noRefusals"
          />
        )}
      </section>
    </Section>
  );
}

interface TileProps {
  readonly label: string;
  readonly value: number | undefined;
  readonly note?: string;
  readonly alarming?: boolean;
}

function Tile({ label, value, note, alarming = false }: TileProps) {
  return (
    <div class="tile">
      <p class="label">{label}</p>
      <p class={alarming ? "number alarming" : "number"}>{value ?? "–"}</p>
      {note !== undefined && <p class="note">{note}</p>}
    </div>
  );
}
