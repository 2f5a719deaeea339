import { Visitor } from "@swc/core/Visitor.js";

/**
 * Loaded before dependency-cruiser: the visitor of swc that it walks syntax trees with stops at `using` declarations,
 * which are younger than it. They hold imports just as `const` declarations do, so they are shown to it as such.
 */

interface UsingDeclaration {
  type: "UsingDeclaration";
  decls: unknown[];
}

function isUsing(node: unknown): node is UsingDeclaration {
  return (node as { type?: unknown }).type === "UsingDeclaration";
}

function asConst<T>(node: T): T {
  if (!isUsing(node)) return node;
  const { decls: declarations, ...rest } = node;
  return { ...rest, type: "VariableDeclaration", kind: "const", declare: false, declarations } as T;
}

const visitStatement = Visitor.prototype.visitStatement;
Visitor.prototype.visitStatement = function visitUsing(statement) {
  return visitStatement.call(this, asConst(statement));
};

const visitForOfStatement = Visitor.prototype.visitForOfStatement;
Visitor.prototype.visitForOfStatement = function visitUsing(statement) {
  statement.left = asConst(statement.left);
  return visitForOfStatement.call(this, statement);
};
