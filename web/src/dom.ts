// Makes elements: h("a.link", { href }, "text"). No framework: views rebuild small parts of the page.
export type Child = Node | string | number | null | undefined | false | Child[];
type Props = Record<string, unknown>;

export function h<T extends HTMLElement = HTMLElement>(tag: string, props?: Props | Child, ...children: Child[]): T {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name || "div");
  if (classes.length) element.className = classes.join(" ");
  let rest = children;
  if (isProps(props)) apply(element, props);
  else if (props !== undefined) rest = [props, ...children];
  append(element, rest);
  return element as T;
}

function isProps(value: unknown): value is Props {
  return typeof value === "object" && value !== null && !(value instanceof Node) && !Array.isArray(value);
}

function apply(element: Element, props: Props) {
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value as EventListener);
    else if (key === "class") element.setAttribute("class", `${element.getAttribute("class") ?? ""} ${value}`.trim());
    else if (key === "value" || key === "checked") (element as unknown as Props)[key] = value;
    else element.setAttribute(key, value === true ? "" : String(value));
  }
}

export function append(element: Element, children: Child[]) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) append(element, child);
    else element.append(child instanceof Node ? child : String(child));
  }
}

export function fill(element: Element, ...children: Child[]) {
  element.replaceChildren();
  append(element, children);
}

export function svg<T extends SVGElement = SVGElement>(tag: string, props: Props = {}, ...children: Child[]): T {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  apply(element, props);
  append(element, children);
  return element as T;
}
