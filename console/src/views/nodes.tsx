import { useMemo, useState } from "preact/hooks";
import { api, type NodeInView, type PrincipalDescription } from "../api.ts";
import { type LeaseInView, useLeases } from "../leases.ts";
import { useLoaded } from "../loading.ts";
import { keyName } from "../names.ts";
import { span } from "../parts/age.ts";
import { Callers } from "../parts/callers.tsx";
import { Confirm, type Question } from "../parts/confirm.tsx";
import { NodeTable } from "../parts/node-table.tsx";
import { NodesOverAws } from "../parts/nodes-over-aws.tsx";
import { Problem } from "../parts/problem.tsx";
import { Section } from "../parts/section.tsx";
import { useSettings } from "../settings.tsx";

export function NodesView() {
  const { text } = useSettings();
  const view = useLoaded(api.nodes);
  const { leases: told, live } = useLeases();
  const loaded = useMemo(() => loadedLeases(view.value?.nodes ?? []), [view.value]);
  const leases = latest(loaded, told);
  const principals = useLoaded(api.principals);
  const [question, setQuestion] = useState<Question & { readonly done: string }>();
  const [notice, setNotice] = useState<string>();
  const revoke = ({ name, protections }: NodeInView) => {
    const { lease } = leases.get(name) ?? {};
    const runsOn = lease?.state === "none" ? ` ${text("confirm.nodeRunsOn")}` : "";
    setQuestion({
      title: text("confirm.revokeNode", { name }),
      meaning: `${text("confirm.revokeNodeStops")}${runsOn}`,
      affected: [
        text("confirm.nodeRequests", { name }),
        ...protections.map((key) => text("confirm.nodeKey", { key: keyName(key) })),
        ...(lease?.state === "held" ? [text("confirm.nodeStops", { every: span(text, lease.seconds ?? 0) })] : []),
      ],
      stops: true,
      verb: text("action.revoke"),
      act: () => api.revokeNode(name),
      done: text("done.nodeRevoked", { name }),
    });
  };
  const enable = ({ name, kind }: PrincipalDescription) =>
    setQuestion({
      title: text("confirm.enablePrincipal", { name }),
      meaning: text("confirm.enablePrincipalStarts"),
      affected: [kind === "node" ? text("nodes.enrolAgain", { name }) : text("confirm.callerRequests", { name })],
      stops: false,
      verb: text("action.enable"),
      act: () => api.setPrincipalState(name, "enable"),
      done: text("done.principalEnabled", { name }),
    });
  const disable = ({ name }: PrincipalDescription) =>
    setQuestion({
      title: text("confirm.disablePrincipal", { name }),
      meaning: text("confirm.disablePrincipalStops"),
      affected: [text("confirm.callerRequests", { name })],
      stops: true,
      verb: text("action.disable"),
      act: () => api.setPrincipalState(name, "disable"),
      done: text("done.principalDisabled", { name }),
    });
  const refresh = () => {
    view.reload();
    principals.reload();
  };
  const done = () => {
    setNotice(question?.done);
    setQuestion(undefined);
    refresh();
  };
  return (
    <Section title={text("nav.nodes")} intro={text("nodes.intro")} onRefresh={refresh} notice={notice}>
      <section class="card">
        <h2>{text("nodes.title")}</h2>
        <Problem error={view.error} />
        {view.value === undefined && view.error === undefined && <p class="empty">{text("common.loading")}</p>}
        {view.value !== undefined && (
          <NodeTable view={view.value} leases={leases} live={live} onRevoke={revoke} onEnable={enable} />
        )}
      </section>
      {view.value !== undefined && view.value.nodesOverAws.length > 0 && (
        <section class="card">
          <h2>{text("nodesOverAws.title")}</h2>
          <NodesOverAws nodes={view.value.nodesOverAws} />
        </section>
      )}
      <section class="card">
        <h2>{text("nodes.callers")}</h2>
        <Problem error={principals.error} />
        <Callers
          principals={(principals.value ?? []).filter((each) => each.kind !== "node")}
          onDisable={disable}
          onEnable={enable}
        />
      </section>
      {question !== undefined && <Confirm question={question} onDone={done} onCancel={() => setQuestion(undefined)} />}
    </Section>
  );
}

function loadedLeases(nodes: readonly NodeInView[]): ReadonlyMap<string, LeaseInView> {
  const learntMs = performance.now();
  return new Map(nodes.flatMap(({ name, lease }) => (lease === null ? [] : [[name, { lease, learntMs }] as const])));
}

/** Of each node what was learnt last: with the view, or from what the server tells. */
function latest(
  loaded: ReadonlyMap<string, LeaseInView>,
  told: ReadonlyMap<string, LeaseInView>,
): ReadonlyMap<string, LeaseInView> {
  const newer = [...told].filter(([node, { learntMs }]) => learntMs > (loaded.get(node)?.learntMs ?? 0));
  return new Map([...loaded, ...newer]);
}
