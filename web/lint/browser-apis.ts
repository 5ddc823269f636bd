/**
 * An ESLint rule that reports each API which the oldest supported browsers lack, or which is missing on plain http.
 *
 * It uses the types, so it sees members of values (`params.size`). Plugins that read only names do not see them.
 * TypeScript says where an API is declared, and whether it needs a secure context. MDN's data say which browsers have
 * it. The rule also reports an API that the data do not have.
 */

import { createRequire } from "node:module";
import type { CompatData, CompatStatement, Identifier } from "@mdn/browser-compat-data";
import { AST_NODE_TYPES, ESLintUtils, type TSESTree } from "@typescript-eslint/utils";
import ts from "typescript";
import { OLDEST_BROWSERS } from "./oldest-browsers";

type Features = Identifier | CompatData;

const data = createRequire(import.meta.url)("@mdn/browser-compat-data") as CompatData;
const SECURE = "Available only in secure contexts.";

export default ESLintUtils.RuleCreator.withoutDocs({
  meta: {
    type: "problem",
    schema: [],
    messages: {
      later: "{{api}} is not in {{browsers}}",
      insecure: "{{api}} is not there on plain http: call it with `?.`, or do without",
      unknown: "{{api}} is not in MDN's data on browsers",
    },
  },
  defaultOptions: [],
  create(context) {
    const { program, esTreeNodeToTSNodeMap } = ESLintUtils.getParserServices(context);
    const checker = program.getTypeChecker();
    const { sourceCode } = context;
    const checked = new Set<ts.Node>();

    function check(node: TSESTree.Identifier | TSESTree.Literal): void {
      const place = esTreeNodeToTSNodeMap.get(node);
      if (checked.has(place) || ts.isPartOfTypeNode(place) || isGuarded(node)) return;
      checked.add(place); // the shorthand `{ size }` is one node of TypeScript, and two of ESLint (key and value)
      const declarations = symbolAt(place)?.declarations ?? [];
      const declaration = declarations.find((each) => program.isSourceFileDefaultLibrary(each.getSourceFile()));
      if (declaration === undefined) return;
      const paths = pathsOf(declaration, receiverNames(place));
      const statement = paths.map(statementAt).find((found) => found !== undefined);
      const api =
        node.parent.type === AST_NODE_TYPES.MemberExpression ? sourceCode.getText(node.parent) : place.getText();
      const browsers = statement ? browsersWithout(statement).join(", ") : "";
      if (browsers) context.report({ node, messageId: "later", data: { api, browsers } });
      else if (needsSecureContext(declaration)) context.report({ node, messageId: "insecure", data: { api } });
      else if (!statement && isOfClass(declaration)) context.report({ node, messageId: "unknown", data: { api } });
    }

    /** Returns whether the member's owner exists as a value. Otherwise it is the shape of an argument, such as `RequestInit`. */
    function isOfClass({ parent }: ts.Declaration): boolean {
      if (!ts.isInterfaceDeclaration(parent)) return true;
      const symbol = checker.getSymbolAtLocation(parent.name);
      return symbol !== undefined && (symbol.flags & ts.SymbolFlags.Value) !== 0;
    }

    /** Returns the symbol that is read here: of `const { size } = params` the member, not the new variable. */
    function symbolAt(place: ts.Node): ts.Symbol | undefined {
      const { parent } = place;
      if (ts.isBindingElement(parent) && (parent.propertyName ?? parent.name) === place)
        return checker.getPropertyOfType(checker.getTypeAtLocation(parent.parent), place.getText());
      return checker.getSymbolAtLocation(place);
    }

    /**
     * Returns the names of the types of the object whose member is read. TypeScript declares `json` in the mixin
     * `Body`, MDN's data in the class `Response`: so these names are tried too.
     */
    function receiverNames(place: ts.Node): string[] {
      const { parent } = place;
      if (!ts.isPropertyAccessExpression(parent) || parent.name !== place) return [];
      return namesOf(checker.getApparentType(checker.getTypeAtLocation(parent.expression)));
    }

    function namesOf(type: ts.Type): string[] {
      if (type.isUnionOrIntersection()) return type.types.flatMap((each) => namesOf(checker.getApparentType(each)));
      const bases = type.isClassOrInterface() ? checker.getBaseTypes(type) : [];
      return [type.symbol?.name ?? "", ...bases.flatMap(namesOf)];
    }

    return {
      Identifier: check,
      "MemberExpression[computed=true] > Literal.property": check,
    };
  },
});

/** Returns whether `?.` follows this member, so that the code also runs without it. */
function isGuarded({ parent: access }: TSESTree.Node): boolean {
  if (access?.type !== AST_NODE_TYPES.MemberExpression) return false;
  const { parent } = access;
  return (
    (parent.type === AST_NODE_TYPES.CallExpression && parent.callee === access && parent.optional) ||
    (parent.type === AST_NODE_TYPES.MemberExpression && parent.object === access && parent.optional)
  );
}

/** Returns the paths at which MDN's data may have what a library of TypeScript declares. */
function pathsOf(declaration: ts.Declaration, receivers: string[]): string[][] {
  const name = ts.getNameOfDeclaration(declaration)?.getText() ?? "";
  const { parent } = declaration;
  if (ts.isInterfaceDeclaration(parent)) {
    const owners = [parent.name.text, ...receivers].flatMap(dataNames);
    return owners.flatMap((owner) => membersOf([...namespacesOf(parent), owner], name));
  }
  if (ts.isTypeLiteralNode(parent) && ts.isVariableDeclaration(parent.parent))
    return membersOf([...namespacesOf(parent), parent.parent.name.getText()], name);
  const owners = [namespacesOf(declaration), ["Window"], ["EventTarget"]]; // of a global
  return owners.flatMap((owner) => membersOf(owner, name));
}

/** Returns the names under which MDN's data may have a type of TypeScript. */
function dataNames(name: string): string[] {
  if (name === "Console") return ["console"];
  if (name === "IteratorObject") return ["Iterator"];
  if (/^(Big)?(Int|Uint|Float)\d+(Clamped)?Array$/.test(name)) return [name, "TypedArray"];
  return [name.replace(/^Readonly(?=Array|Map|Set)|Constructor$|Of$/g, "")];
}

/** Returns the paths at which the data may have a member of a class or a namespace. */
function membersOf(owner: string[], name: string): string[][] {
  return [
    ["api", ...owner, name],
    ["api", ...owner, `${name}_static`],
    ["javascript", "builtins", ...owner, name],
  ];
}

/** Returns the names of the namespaces around a declaration, the outermost first, such as `Intl`. */
function namespacesOf(node: ts.Node): string[] {
  const found: string[] = [];
  for (let each = node.parent; each; each = each.parent)
    if (ts.isModuleDeclaration(each) && ts.isIdentifier(each.name) && each.name.text !== "global")
      found.unshift(each.name.text);
  return found;
}

/** Returns what the data say about the browsers that have an API; `undefined` if there is nothing at this path. */
function statementAt(path: string[]): CompatStatement | undefined {
  let at: Features | undefined = data;
  for (const name of path) at = at && Object.hasOwn(at, name) ? (at as Record<string, Identifier>)[name] : undefined;
  return (at as Identifier | undefined)?.__compat;
}

/** Returns those of the oldest supported browsers that lack an API. */
function browsersWithout({ support }: CompatStatement): string[] {
  return OLDEST_BROWSERS.filter(({ name, version }) => {
    const statements = [support[name] ?? []].flat();
    return !statements.some(
      ({ version_added: added, version_removed: removed, flags, prefix, alternative_name }) =>
        !flags && !prefix && !alternative_name && !removed && versionOf(added) <= version,
    );
  }).map(({ name, version }) => `${name} ${version}`);
}

/** Returns the version in which a browser got an API; infinity if it has not got the API. */
const versionOf = (added: unknown): number =>
  typeof added === "string" && /^≤?\d/.test(added)
    ? Number.parseFloat(added.replace("≤", ""))
    : Number.POSITIVE_INFINITY;

function needsSecureContext(declaration: ts.Declaration): boolean {
  const own = ts.getJSDocCommentsAndTags(declaration);
  const owner = ts.isInterfaceDeclaration(declaration.parent) ? ts.getJSDocCommentsAndTags(declaration.parent) : [];
  return [...own, ...owner].some((comment) => comment.getText().includes(SECURE));
}
