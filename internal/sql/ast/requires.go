// SPDX-License-Identifier: Apache-2.0

package ast

import (
	"strings"

	"firn.dev/firn/internal/catalog"
)

func (*Create) statement()            {}
func (*Alter) statement()             {}
func (*Drop) statement()              {}
func (*Describe) statement()          {}
func (*Show) statement()              {}
func (*Grant) statement()             {}
func (*GrantRole) statement()         {}
func (*Call) statement()              {}
func (*ExecuteJobService) statement() {}
func (*ExecuteImmediate) statement()  {}
func (*Pipe) statement()              {}
func (*Use) statement()               {}
func (*UseSecondaryRoles) statement() {}
func (*AlterSession) statement()      {}
func (*SetVariables) statement()      {}
func (*UnsetVariables) statement()    {}
func (*Transaction) statement()       {}
func (*Put) statement()               {}
func (*Get) statement()               {}
func (*List) statement()              {}
func (*Remove) statement()            {}
func (*CopyFiles) statement()         {}
func (*Query) statement()             {}

// on is a requirement of any of the privileges on a named object.
func on(n *Name, optional bool, any ...catalog.Privilege) catalog.Requirement {
	return catalog.Requirement{Any: any, Kind: n.Kind, Name: n.Resolved, Optional: optional}
}

// toCreate is the right to create an object of the kind where the name says.
func toCreate(kind catalog.Kind, name catalog.Name) catalog.Requirement {
	r := catalog.Requirement{Any: []catalog.Privilege{catalog.CreatePrivilege(kind)}, Kind: catalog.KindAccount}
	switch kind.Scope() {
	case catalog.InDatabase:
		r.Kind, r.Name = catalog.KindDatabase, name.Parent()
	case catalog.InSchema:
		r.Kind, r.Name = catalog.KindSchema, name.Parent()
	}
	return r
}

// names drops the nil ones.
func names(all ...*Name) []*Name {
	var out []*Name
	for _, n := range all {
		if n != nil {
			out = append(out, n)
		}
	}
	return out
}

func (s *StageRef) name() *Name {
	if s == nil {
		return nil
	}
	return s.Name
}

// needs lists the requirement on the stage; everybody may use the own user stage.
func (s *StageRef) needs(any ...catalog.Privilege) []catalog.Requirement {
	if s.name() == nil {
		return nil
	}
	return []catalog.Requirement{on(s.Name, false, any...)}
}

func (s *ServiceSource) names() []*Name {
	if s == nil {
		return nil
	}
	return names(s.Pool, s.Stage.name())
}

func (s *ServiceSource) needs() []catalog.Requirement {
	if s == nil {
		return nil
	}
	needs := s.Stage.needs(catalog.Read)
	if s.Pool != nil {
		needs = append(needs, on(s.Pool, false, catalog.Usage))
	}
	return needs
}

// Names gives the object, then the pool and stage of a service.
func (s *Create) Names() []*Name { return append(names(s.Name), s.Service.names()...) }

// Requires is CREATE <kind> where the object goes, and OWNERSHIP of what OR REPLACE replaces. Rules about what properties name
// (the repository of an image path, a default warehouse) need data and are the executor's.
func (s *Create) Requires() []catalog.Requirement {
	needs := []catalog.Requirement{toCreate(s.Kind, s.Name.Resolved)}
	if s.OrReplace {
		needs = append(needs, on(s.Name, true, catalog.Ownership))
	}
	return append(needs, s.Service.needs()...)
}

// Names gives the object, its new name, and the stage of a service.
func (s *Alter) Names() []*Name { return append(names(s.Name, s.RenameTo), s.Service.names()...) }

// Requires depends on the kind and on what is altered. ALTER ACCOUNT needs OWNERSHIP of the account, ALTER USER without a name
// nothing here: what users may change about themselves is the executor's knowledge.
func (s *Alter) Requires() []catalog.Requirement {
	if s.Kind == catalog.KindAccount {
		return []catalog.Requirement{{Any: []catalog.Privilege{catalog.Ownership}, Kind: catalog.KindAccount}}
	}
	if s.Name == nil {
		return nil
	}
	needs := []catalog.Requirement{on(s.Name, s.IfExists, s.privilege())}
	if s.RenameTo != nil && s.Kind.Scope() != catalog.InAccount && s.RenameTo.Resolved.Parent() != s.Name.Resolved.Parent() {
		needs = append(needs, toCreate(s.Kind, s.RenameTo.Resolved))
	}
	return append(needs, s.Service.needs()...)
}

func (s *Alter) privilege() catalog.Privilege {
	switch {
	case s.RenameTo != nil:
		return catalog.Ownership
	case s.Kind == catalog.KindService:
		return catalog.Operate
	case s.Action == "REFRESH":
		return catalog.Write
	case strings.Contains(s.Action, "TOKEN"):
		return catalog.Ownership
	case s.Action != "":
		return catalog.Operate
	}
	switch s.Kind {
	case catalog.KindRuntimeEnvironment, catalog.KindComputePool, catalog.KindWarehouse, catalog.KindDatabase, catalog.KindSchema:
		return catalog.Modify
	}
	return catalog.Ownership
}

// Names gives the object.
func (s *Drop) Names() []*Name { return names(s.Name) }

// Requires is OWNERSHIP.
func (s *Drop) Requires() []catalog.Requirement {
	return []catalog.Requirement{on(s.Name, s.IfExists, catalog.Ownership)}
}

// Names gives the object; nothing for a table.
func (s *Describe) Names() []*Name {
	if s.Kind == KindTable {
		return nil
	}
	return names(s.Name)
}

// Requires is MONITOR for environments and users, any privilege for other kinds.
func (s *Describe) Requires() []catalog.Requirement {
	switch s.Kind {
	case KindTable:
		return nil
	case catalog.KindRuntimeEnvironment, catalog.KindUser:
		return []catalog.Requirement{on(s.Name, false, catalog.Monitor)}
	}
	return []catalog.Requirement{on(s.Name, false)}
}

// Names gives what IN, ON, TO or OF name.
func (s *Show) Names() []*Name {
	all := names(s.GrantsTo, s.GrantsOf)
	if s.In != nil && s.In.Name != nil && s.In.Name.Kind != KindTable {
		all = append(all, s.In.Name)
	}
	return all
}

// Requires is nothing: SHOW lists what the role may know of.
func (s *Show) Requires() []catalog.Requirement { return nil }

// Names gives the object or what holds the objects, then the grantee.
func (s *Grant) Names() []*Name { return names(s.On, s.AllIn, s.Role) }

// Requires is nothing here: whether the role owns the object, holds the privilege with grant option or holds MANAGE GRANTS is data,
// which the executor looks up.
func (s *Grant) Requires() []catalog.Requirement { return nil }

// Names gives the role, then the grantee.
func (s *GrantRole) Names() []*Name { return names(s.Role, s.ToRole, s.ToUser) }

// Requires is nothing here: OWNERSHIP of the role or MANAGE GRANTS is decided by the executor, as for Grant.
func (s *GrantRole) Requires() []catalog.Requirement { return nil }

// Names gives the service of a method.
func (s *Call) Names() []*Name {
	return append(names(s.Object), exprNames(argumentValues(s.Args)...)...)
}

// Requires is nothing here: each function says what it needs.
func (s *Call) Requires() []catalog.Requirement { return nil }

// Names gives the pool, the job and the stage of the specification.
func (s *ExecuteJobService) Names() []*Name { return names(s.Pool, s.Job, s.Stage.name()) }

// Requires is CREATE SERVICE on the job's schema, USAGE of the pool and READ of the specification's stage. What the specification
// names is the executor's to check.
func (s *ExecuteJobService) Requires() []catalog.Requirement {
	var needs []catalog.Requirement
	if s.Job != nil {
		needs = append(needs, toCreate(catalog.KindService, s.Job.Resolved))
	}
	return append(needs, (&ServiceSource{Pool: s.Pool, Stage: s.Stage}).needs()...)
}

// Names gives the stage of the file.
func (s *ExecuteImmediate) Names() []*Name { return names(s.Stage.name()) }

// Requires is READ of the stage of the file; the statements inside are checked when they run.
func (s *ExecuteImmediate) Requires() []catalog.Requirement {
	return s.Stage.needs(catalog.Read, catalog.Usage)
}

// Names is empty: each step is bound when it runs.
func (s *Pipe) Names() []*Name { return nil }

// Requires is nothing: each step is checked when it runs.
func (s *Pipe) Requires() []catalog.Requirement { return nil }

// Names gives what is to be used.
func (s *Use) Names() []*Name { return names(s.Name) }

// Requires is nothing here: which role may be used is a matter of the role graph, and what cannot be seen is reported as missing.
func (s *Use) Requires() []catalog.Requirement { return nil }

// Names gives the role.
func (s *UseSecondaryRoles) Names() []*Name { return names(s.Role) }

// Requires is nothing here, as for Use.
func (s *UseSecondaryRoles) Requires() []catalog.Requirement { return nil }

// Names is empty.
func (s *AlterSession) Names() []*Name { return nil }

// Requires is nothing.
func (s *AlterSession) Requires() []catalog.Requirement { return nil }

// Names gives what the values call on.
func (s *SetVariables) Names() []*Name { return exprNames(s.Values...) }

// Requires is nothing but what the values read.
func (s *SetVariables) Requires() []catalog.Requirement { return exprNeeds(s.Values...) }

// Names is empty.
func (s *UnsetVariables) Names() []*Name { return nil }

// Requires is nothing.
func (s *UnsetVariables) Requires() []catalog.Requirement { return nil }

// Names is empty.
func (s *Transaction) Names() []*Name { return nil }

// Requires is nothing.
func (s *Transaction) Requires() []catalog.Requirement { return nil }

// Names gives the stage.
func (s *Put) Names() []*Name { return names(s.Stage.name()) }

// Requires is WRITE.
func (s *Put) Requires() []catalog.Requirement { return s.Stage.needs(catalog.Write) }

// Names gives the stage.
func (s *Get) Names() []*Name { return names(s.Stage.name()) }

// Requires is READ, or USAGE as on stages outside.
func (s *Get) Requires() []catalog.Requirement { return s.Stage.needs(catalog.Read, catalog.Usage) }

// Names gives the stage.
func (s *List) Names() []*Name { return names(s.Stage.name()) }

// Requires is READ or USAGE.
func (s *List) Requires() []catalog.Requirement { return s.Stage.needs(catalog.Read, catalog.Usage) }

// Names gives the stage.
func (s *Remove) Names() []*Name { return names(s.Stage.name()) }

// Requires is WRITE.
func (s *Remove) Requires() []catalog.Requirement { return s.Stage.needs(catalog.Write) }

// Names gives both stages, and what a sub-query reads.
func (s *CopyFiles) Names() []*Name {
	all := names(s.Into.name(), s.From.name())
	if s.Query != nil {
		all = append(all, s.Query.Names()...)
	}
	return all
}

// Requires is WRITE on the target and READ or USAGE on the source.
func (s *CopyFiles) Requires() []catalog.Requirement {
	needs := append(s.Into.needs(catalog.Write), s.From.needs(catalog.Read, catalog.Usage)...)
	if s.Query != nil {
		needs = append(needs, s.Query.Requires()...)
	}
	return needs
}

// Names gives services of methods and stages of directory tables. Relations are resolved by the query engine.
func (q *Query) Names() []*Name { return nodeNames(q) }

// Requires is READ or USAGE of the stages whose directories are read. Relations are filtered by the query engine, and functions
// say what they need.
func (q *Query) Requires() []catalog.Requirement { return nodeNeeds(q) }

func argumentValues(args []Argument) []Expr {
	all := make([]Expr, len(args))
	for i, a := range args {
		all[i] = a.Value
	}
	return all
}

func exprNames(all ...Expr) []*Name {
	var out []*Name
	for _, e := range all {
		out = append(out, nodeNames(e)...)
	}
	return out
}

func exprNeeds(all ...Expr) []catalog.Requirement {
	var out []catalog.Requirement
	for _, e := range all {
		out = append(out, nodeNeeds(e)...)
	}
	return out
}

func nodeNames(node any) []*Name {
	var out []*Name
	Inspect(node, func(n any) bool {
		switch n := n.(type) {
		case *Method:
			out = append(out, n.Object)
		case *TableFunction:
			out = append(out, names(n.Object, n.Stage.name())...)
		}
		return true
	})
	return out
}

func nodeNeeds(node any) []catalog.Requirement {
	var out []catalog.Requirement
	Inspect(node, func(n any) bool {
		if f, ok := n.(*TableFunction); ok {
			out = append(out, f.Stage.needs(catalog.Read, catalog.Usage)...)
		}
		return true
	})
	return out
}
