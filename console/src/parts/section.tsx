import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { useSettings } from "../settings.tsx";

interface SectionProps {
  readonly title: string;
  readonly intro?: string;
  readonly onRefresh?: () => void;
  /** What was just done, told to screen readers as well. */
  readonly notice?: string | undefined;
  readonly more?: ComponentChildren;
  readonly children: ComponentChildren;
}

/** A section of the console under its heading, which takes the focus when the section opens. */
export function Section({ title, intro, onRefresh, notice, more, children }: SectionProps) {
  const { text } = useSettings();
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), []);
  return (
    <>
      <header class="section-head">
        <div>
          <h1 ref={heading} tabIndex={-1}>
            {title}
          </h1>
          {intro !== undefined && <p class="intro">{intro}</p>}
        </div>
        <div class="buttons">
          {more}
          {onRefresh !== undefined && (
            <button type="button" onClick={onRefresh}>
              {text("action.refresh")}
            </button>
          )}
        </div>
      </header>
      <p class={notice === undefined ? "notice empty" : "notice"} role="status">
        {notice}
      </p>
      {children}
    </>
  );
}
