// SPDX-License-Identifier: Apache-2.0

package ast

// String is the statement as canonical SQL with secrets masked.
func (s *Create) String() string { return printStatement(s, false) }

// String is the statement as canonical SQL with secrets masked.
func (s *Alter) String() string { return printStatement(s, false) }

// String is the statement as canonical SQL.
func (s *Drop) String() string { return printStatement(s, false) }

// String is the statement as canonical SQL.
func (s *Describe) String() string { return printStatement(s, false) }

// String is the statement as canonical SQL.
func (s *Show) String() string { return printStatement(s, false) }

// String is the statement as canonical SQL.
func (s *Grant) String() string { return printStatement(s, false) }

// String is the statement as canonical SQL.
func (s *GrantRole) String() string { return printStatement(s, false) }

// String is the statement as canonical SQL.
func (s *Call) String() string { return printStatement(s, false) }

// String is the statement as canonical SQL.
func (s *ExecuteJobService) String() string { return printStatement(s, false) }

// String is the statement as canonical SQL; a text that may set a secret is masked.
func (s *ExecuteImmediate) String() string { return printStatement(s, false) }

// String is the steps as canonical SQL with secrets masked.
func (s *Pipe) String() string { return printStatement(s, false) }

// String is the statement as canonical SQL.
func (s *Use) String() string { return printStatement(s, false) }

// String is the statement as canonical SQL.
func (s *UseSecondaryRoles) String() string { return printStatement(s, false) }

// String is the statement as canonical SQL with secrets masked.
func (s *AlterSession) String() string { return printStatement(s, false) }

// String is the statement as canonical SQL.
func (s *SetVariables) String() string { return printStatement(s, false) }

// String is the statement as canonical SQL.
func (s *UnsetVariables) String() string { return printStatement(s, false) }

// String is the statement as canonical SQL.
func (s *Transaction) String() string { return printStatement(s, false) }

// String is the statement as canonical SQL.
func (s *Put) String() string { return printStatement(s, false) }

// String is the statement as canonical SQL.
func (s *Get) String() string { return printStatement(s, false) }

// String is the statement as canonical SQL.
func (s *List) String() string { return printStatement(s, false) }

// String is the statement as canonical SQL.
func (s *Remove) String() string { return printStatement(s, false) }

// String is the statement as canonical SQL.
func (s *CopyFiles) String() string { return printStatement(s, false) }

// String is the query as canonical SQL.
func (q *Query) String() string { return printStatement(q, false) }

// String is the expression as canonical SQL.
func (e *Literal) String() string { return exprText(e) }

// String is the expression as canonical SQL.
func (e *Bind) String() string { return exprText(e) }

// String is the expression as canonical SQL.
func (e *Variable) String() string { return exprText(e) }

// String is the expression as canonical SQL.
func (e *Column) String() string { return exprText(e) }

// String is the expression as canonical SQL.
func (e *Star) String() string { return exprText(e) }

// String is the expression as canonical SQL.
func (e *Unary) String() string { return exprText(e) }

// String is the expression as canonical SQL.
func (e *Binary) String() string { return exprText(e) }

// String is the expression as canonical SQL.
func (e *IsNull) String() string { return exprText(e) }

// String is the expression as canonical SQL.
func (e *IsDistinct) String() string { return exprText(e) }

// String is the expression as canonical SQL.
func (e *In) String() string { return exprText(e) }

// String is the expression as canonical SQL.
func (e *Between) String() string { return exprText(e) }

// String is the expression as canonical SQL.
func (e *Like) String() string { return exprText(e) }

// String is the expression as canonical SQL.
func (e *Case) String() string { return exprText(e) }

// String is the expression as canonical SQL.
func (e *Cast) String() string { return exprText(e) }

// String is the expression as canonical SQL.
func (e *Function) String() string { return exprText(e) }

// String is the expression as canonical SQL.
func (e *Method) String() string { return exprText(e) }

// String is the expression as canonical SQL.
func (e *Subquery) String() string { return exprText(e) }

// String is the expression as canonical SQL.
func (e *Exists) String() string { return exprText(e) }

// String is the expression as canonical SQL.
func (e *Path) String() string { return exprText(e) }

// String is the expression as canonical SQL.
func (e *Array) String() string { return exprText(e) }

// String is the expression as canonical SQL.
func (e *ObjectLiteral) String() string { return exprText(e) }

// String is the expression as canonical SQL.
func (e *Interval) String() string { return exprText(e) }

// String is the expression as canonical SQL.
func (e *Tuple) String() string { return exprText(e) }
