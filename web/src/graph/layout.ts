// Layered layout from left to right: callers left of what they call, versions of one app together.
// `order` breaks ties: "reviews v1" stands above "reviews v2".
export interface Box { id: string; group: string; order: string }
export interface Arrow { source: string; target: string }
export interface Place { x: number; y: number }

const columnWidth = 210, rowHeight = 92, groupGap = 26;

export function layout(boxes: Box[], arrows: Arrow[]): Map<string, Place> {
  const layers = layerOf(boxes, arrows);
  joinGroups(boxes, layers);
  const columns: string[][] = [];
  for (const box of [...boxes].sort((a, b) => a.order.localeCompare(b.order) || a.id.localeCompare(b.id))) {
    (columns[layers.get(box.id)!] ??= []).push(box.id);
  }
  const used = columns.filter(Boolean);
  const groupOf = new Map(boxes.map((b) => [b.id, b.group]));
  reorder(used, arrows, groupOf, new Map(boxes.map((b) => [b.id, b.order])));
  return place(used, arrows, groupOf);
}

// Longest way from a caller that nobody calls; edges that close a circle do not count.
function layerOf(boxes: Box[], arrows: Arrow[]): Map<string, number> {
  const out = new Map<string, string[]>(boxes.map((b) => [b.id, []]));
  const incoming = new Map<string, number>(boxes.map((b) => [b.id, 0]));
  for (const a of arrows) {
    if (a.source === a.target || !out.has(a.source) || !out.has(a.target)) continue;
    out.get(a.source)!.push(a.target);
    incoming.set(a.target, incoming.get(a.target)! + 1);
  }
  const state = new Map<string, 1 | 2>();
  const order: string[] = [];
  const visit = (start: string) => {
    const stack: [string, number][] = [[start, 0]];
    state.set(start, 1);
    while (stack.length) {
      const top = stack[stack.length - 1];
      const next = out.get(top[0])![top[1]++];
      if (next === undefined) {
        state.set(top[0], 2);
        order.push(top[0]);
        stack.pop();
      } else if (!state.has(next)) {
        state.set(next, 1);
        stack.push([next, 0]);
      }
    }
  };
  const roots = boxes.map((b) => b.id).sort((a, b) => incoming.get(a)! - incoming.get(b)! || a.localeCompare(b));
  for (const id of roots) if (!state.has(id)) visit(id);
  order.reverse();
  const rank = new Map(order.map((id, i) => [id, i]));
  const layers = new Map<string, number>(order.map((id) => [id, 0]));
  for (const id of order) for (const next of out.get(id)!) {
    if (rank.get(next)! > rank.get(id)!) layers.set(next, Math.max(layers.get(next)!, layers.get(id)! + 1));
  }
  return layers;
}

function joinGroups(boxes: Box[], layers: Map<string, number>) {
  const most = new Map<string, number>();
  for (const b of boxes) most.set(b.group, Math.max(most.get(b.group) ?? 0, layers.get(b.id)!));
  for (const b of boxes) layers.set(b.id, most.get(b.group)!);
}

// A few sweeps of the barycentre rule; whole groups move.
function reorder(columns: string[][], arrows: Arrow[], groupOf: Map<string, string>, orderOf: Map<string, string>) {
  const near = neighbours(arrows);
  for (let sweep = 0; sweep < 8; ++sweep) {
    const position = new Map<string, number>();
    for (const column of columns) column.forEach((id, i) => position.set(id, i - column.length / 2));
    for (const column of sweep % 2 ? [...columns].reverse() : columns) {
      const weight = new Map<string, [number, number]>();
      for (const id of column) {
        const others = (near.get(id) ?? []).filter((n) => position.has(n) && !column.includes(n));
        const mean = others.length ? others.reduce((sum, n) => sum + position.get(n)!, 0) / others.length : position.get(id)!;
        const sum = weight.get(groupOf.get(id)!) ?? [0, 0];
        weight.set(groupOf.get(id)!, [sum[0] + mean, sum[1] + 1]);
      }
      const mean = (id: string) => {
        const [sum, count] = weight.get(groupOf.get(id)!)!;
        return sum / count;
      };
      column.sort((a, b) => mean(a) - mean(b) || orderOf.get(a)!.localeCompare(orderOf.get(b)!) || a.localeCompare(b));
      column.forEach((id, i) => position.set(id, i - column.length / 2));
    }
  }
}

function neighbours(arrows: Arrow[]): Map<string, string[]> {
  const near = new Map<string, string[]>();
  for (const { source, target } of arrows) {
    if (source === target) continue;
    near.set(source, [...(near.get(source) ?? []), target]);
    near.set(target, [...(near.get(target) ?? []), source]);
  }
  return near;
}

// Heights: start centred, then let each node drift to the middle of its neighbours while the order holds.
function place(columns: string[][], arrows: Arrow[], groupOf: Map<string, string>): Map<string, Place> {
  const near = neighbours(arrows);
  const places = new Map<string, Place>();
  const gap = (a: string, b: string) => rowHeight + (groupOf.get(a) === groupOf.get(b) ? 0 : groupGap);
  columns.forEach((column, c) => {
    let y = 0;
    column.forEach((id, i) => {
      if (i) y += gap(column[i - 1], id);
      places.set(id, { x: c * columnWidth, y });
    });
    for (const id of column) places.get(id)!.y -= y / 2;
  });
  for (let round = 0; round < 6; ++round) {
    for (const column of round % 2 ? [...columns].reverse() : columns) {
      const wanted = column.map((id) => {
        const others = near.get(id) ?? [];
        return others.length ? others.reduce((sum, n) => sum + places.get(n)!.y, 0) / others.length : places.get(id)!.y;
      });
      settle(column, wanted, gap, places);
    }
  }
  return places;
}

function settle(column: string[], wanted: number[], gap: (a: string, b: string) => number, places: Map<string, Place>) {
  // Pools neighbours that would overlap and centres each pool on the mean of its wishes.
  type Pool = { first: number; last: number; sum: number; offsets: number[] };
  const pools: Pool[] = [];
  const height = (p: Pool) => p.offsets[p.offsets.length - 1];
  const start = (p: Pool) => p.sum / p.offsets.length;
  column.forEach((_, i) => {
    pools.push({ first: i, last: i, sum: wanted[i], offsets: [0] });
    while (pools.length > 1) {
      const b = pools[pools.length - 1], a = pools[pools.length - 2];
      const between = gap(column[a.last], column[b.first]);
      if (start(a) + height(a) + between <= start(b)) break;
      const shift = height(a) + between;
      a.offsets.push(...b.offsets.map((o) => o + shift));
      a.sum += b.sum - shift * b.offsets.length;
      a.last = b.last;
      pools.pop();
    }
  });
  for (const pool of pools) pool.offsets.forEach((o, i) => { places.get(column[pool.first + i])!.y = start(pool) + o; });
}
