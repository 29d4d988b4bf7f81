import { api, type Device } from "../api.ts";
import { useLoaded } from "../loading.ts";
import { Problem } from "../parts/problem.tsx";
import { Section } from "../parts/section.tsx";
import { StateBadge } from "../parts/state-badge.tsx";
import { Table } from "../parts/table.tsx";
import { useSettings } from "../settings.tsx";

/** The cards, tokens and keys in a KMS that the key manager's devices.toml names, as it has them. Looking opens none. */
export function DevicesView() {
  const { text } = useSettings();
  const { value, error, reload } = useLoaded(api.devices);
  return (
    <Section title={text("nav.devices")} intro={text("devices.intro")} onRefresh={reload}>
      <Problem error={error} />
      {value !== undefined && (
        <section class="card">
          {value.length === 0 && <p class="empty">{text("devices.empty")}</p>}
          {value.some(({ trust }) => trust === "changed") && <p class="notice">{text("devices.changed")}</p>}
          {value.length > 0 && (
            <Table
              caption={text("nav.devices")}
              columns={[
                text("devices.name"),
                text("common.state"),
                text("devices.library"),
                text("devices.trust"),
                text("devices.sessions"),
                text("devices.uses"),
                text("devices.lastError"),
              ]}
            >
              {value.map((each) => (
                <DeviceRow key={each.name} device={each} />
              ))}
            </Table>
          )}
        </section>
      )}
    </Section>
  );
}

function DeviceRow({ device }: { readonly device: Device }) {
  const { text } = useSettings();
  const { name, kind, library, members, state, detail, trust, pinned, sessions, queue, uses } = device;
  const { breakerOpen, failures, lastError } = device;
  const failed = Object.entries(failures).map(([why, times]) => `${times} ${why}`);
  return (
    <tr data-device={name}>
      <td>
        <span class="strong">{name}</span>
        <div class="quiet">{kind}</div>
      </td>
      <td>
        <StateBadge state={state} />
        {breakerOpen && <div class="quiet">{text("devices.breaker")}</div>}
        {detail !== lastError?.message && <div class="quiet">{detail}</div>}
      </td>
      <td class="mono">{library ?? members.join(", ")}</td>
      <td class="nowrap">
        {text(`devices.trust.${trust}`)}
        {pinned && <div class="quiet">{text("devices.pinned")}</div>}
      </td>
      <td class="nowrap">
        {text("devices.open", { sessions })}
        <div class="quiet">{text("devices.waiting", { queue })}</div>
      </td>
      <td>
        {uses}
        {failed.length > 0 && <div class="quiet">{text("devices.failed", { failed: failed.join(", ") })}</div>}
      </td>
      <td>{lastError === null ? "–" : lastError.message}</td>
    </tr>
  );
}
