// The playground's three grids: numbers that can be typed over, and those that come out.

import { css, isLight } from "convscope/colour.js";
import { h } from "convscope/dom.js";
import { number } from "convscope/format.js";
import { rangeOf } from "convscope/grid.js";

/** An input for one number of `values`; `changed(values)` is told of the whole new grid. */
function cellInput(values, y, x, name, changed) {
  const input = h("input", {
    type: "number", step: "any", value: values[y][x], "aria-label": `${name}, row ${y}, column ${x}`,
    oninput: () => {
      const value = Number(input.value);
      values[y][x] = Number.isFinite(value) ? value : 0;
      changed(values.map((row) => [...row]));
    },
    onblur: () => (input.value = values[y][x]),
  });
  return input;
}

function table(caption, size, cellAt) {
  const range = Array.from({ length: size }, (_, k) => k);
  return h("table", { class: "numbers" }, h("caption", {}, caption),
    h("tbody", {}, range.map((y) => h("tr", {}, range.map((x) => cellAt(y, x))))));
}

/** {element, mark(window, winner)}: the input with its padding around it. */
export function inputTable(setting, { map }, padding, changed) {
  const values = setting.input.map((row) => [...row]);
  const outside = setting.operation === "max" ? "−∞" : "0";
  const cells = new Map();
  const caption = `Input, ${map.height} × ${map.width}${padding > 0 ? ", and padding" : ""}`;
  const element = table(caption, map.height + 2 * padding, (row, column) => {
    const [y, x] = [row - padding, column - padding];
    const inside = y >= 0 && y < map.height && x >= 0 && x < map.width;
    const cell = inside
      ? h("td", {}, cellInput(values, y, x, "Input", changed))
      : h("td", { class: "padding" }, outside);
    cells.set(`${y},${x}`, cell);
    return cell;
  });
  return {
    element,
    mark({ top, left, rows, columns, down, right }, winner) {
      for (const cell of cells.values()) cell.classList.remove("window", "winner");
      for (let k = 0; k < rows * columns; k++) {
        const cell = cells.get(`${top + Math.floor(k / columns) * down},${left + (k % columns) * right}`);
        cell.classList.add("window");
        cell.classList.toggle("winner", k === winner);
      }
    },
  };
}

/** {element}: the kernel. */
export function kernelTable(kernel, changed) {
  const values = kernel.map((row) => [...row]);
  const size = kernel.length;
  const cellAt = (y, x) => h("td", {}, cellInput(values, y, x, "Kernel", changed));
  return { element: table(`Kernel, ${size} × ${size}`, size, cellAt) };
}

/** {element, fill(valueAt), mark(place)}: buttons, of which one is in the order of Tab; arrow keys go to the others. */
export function outputTable(size, choose) {
  const buttons = [];
  const go = (event, place) => {
    const [y, x] = [Math.floor(place / size), place % size];
    const [nextY, nextX] = {
      ArrowUp: [y - 1, x], ArrowDown: [y + 1, x], ArrowLeft: [y, x - 1], ArrowRight: [y, x + 1],
    }[event.key] ?? [-1, -1];
    if (nextY < 0 || nextY >= size || nextX < 0 || nextX >= size) return;
    event.preventDefault();
    choose(nextY * size + nextX);
    buttons[nextY * size + nextX].focus();
  };
  const element = table(`Output, ${size} × ${size}`, size, (y, x) => {
    const place = y * size + x;
    buttons[place] = h("button", {
      type: "button",
      onclick: () => choose(place),
      onpointerenter: () => choose(place),
      onkeydown: (event) => go(event, place),
    });
    return h("td", {}, buttons[place]);
  });
  return {
    element,
    fill(valueAt) {
      const values = buttons.map((_, place) => valueAt(Math.floor(place / size), place % size));
      const limits = rangeOf(values);
      buttons.forEach((button, place) => {
        button.textContent = number(values[place]);
        button.style.background = css(values[place], ...limits);
        button.style.color = isLight(values[place], ...limits) ? "#000" : "#fff";
        const where = `row ${Math.floor(place / size)}, column ${place % size}`;
        button.setAttribute("aria-label", `Output, ${where}: ${number(values[place])}`);
      });
    },
    mark(chosen) {
      buttons.forEach((button, place) => {
        button.classList.toggle("chosen", place === chosen);
        button.tabIndex = place === chosen ? 0 : -1;
      });
    },
  };
}
