// Numbers and times as people read them.
export function number(value: number, digits = 2): string {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1e9) return trim(value / 1e9, digits) + "G";
  if (size >= 1e6) return trim(value / 1e6, digits) + "M";
  if (size >= 1e4) return trim(value / 1e3, digits) + "k";
  return trim(value, size >= 100 ? 0 : size >= 10 ? 1 : digits);
}

function trim(value: number, digits: number): string {
  return value.toFixed(digits).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");
}

export function bytes(value: number): string {
  if (!Number.isFinite(value)) return "–";
  const units = ["B", "KB", "MB", "GB", "TB"];
  let unit = 0;
  while (Math.abs(value) >= 1024 && unit < units.length - 1) {
    value /= 1024;
    ++unit;
  }
  return `${trim(value, value >= 100 ? 0 : 1)} ${units[unit]}`;
}

export function duration(ms: number): string {
  if (!Number.isFinite(ms) || ms < 0) return "–";
  if (ms === 0) return "0 ms";
  if (ms < 1) return `${trim(ms * 1000, 0)} µs`;
  if (ms < 1000) return `${trim(ms, ms < 10 ? 2 : ms < 100 ? 1 : 0)} ms`;
  if (ms < 60000) return `${trim(ms / 1000, 2)} s`;
  return `${trim(ms / 60000, 1)} min`;
}

export function percent(value: number): string {
  if (!Number.isFinite(value)) return "–";
  return `${trim(value, value > 0 && value < 1 ? 2 : 1)}%`;
}

// By the unit names of Grafana's panels.
export function byUnit(value: number, unit: string | undefined): string {
  if (!Number.isFinite(value)) return "–";
  switch (unit) {
    case "reqps":
    case "ops":
    case "rps":
      return `${number(value)}/s`;
    case "percentunit":
      return percent(value * 100);
    case "percent":
      return percent(value);
    case "s":
      return duration(value * 1000);
    case "ms":
      return duration(value);
    case "bytes":
    case "decbytes":
      return bytes(value);
    case "Bps":
    case "binBps":
      return `${bytes(value)}/s`;
    default:
      return number(value);
  }
}

export function age(stamp: string | undefined): string {
  if (!stamp) return "–";
  const s = Math.max(0, (Date.now() - Date.parse(stamp)) / 1000);
  if (s < 90) return `${Math.round(s)}s`;
  if (s < 5400) return `${Math.round(s / 60)}m`;
  if (s < 129600) return `${Math.round(s / 3600)}h`;
  return `${Math.round(s / 86400)}d`;
}

export function clock(ms: number, withDate = false): string {
  const date = new Date(ms);
  const time = date.toLocaleTimeString(undefined, { hour12: false });
  return withDate ? `${date.toLocaleDateString()} ${time}` : time;
}
