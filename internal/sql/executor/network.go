// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"net"
	"strconv"
	"strings"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/rowset"
)

func networkRuleKind() *kind {
	columns := []column{
		createdOn(), nameColumn(), databaseName(), schemaName(), owner(), comment(),
		specText("type", func(s *catalog.NetworkRuleSpec) string { return s.Type }),
		specText("mode", func(s *catalog.NetworkRuleSpec) string { return s.Mode }),
		specNumber("entries_in_valuelist", func(s *catalog.NetworkRuleSpec) int { return len(s.Values) }),
		ownerRoleType(),
	}
	return &kind{
		kind: catalog.KindNetworkRule, plural: "NETWORK RULES", replace: true, comments: true, columns: columns,
		properties: []property{
			wordProperty("TYPE", "", func(s *catalog.NetworkRuleSpec) *string { return &s.Type }, "HOST_PORT").atCreation(),
			wordProperty("MODE", "", func(s *catalog.NetworkRuleSpec) *string { return &s.Mode }, "EGRESS").atCreation(),
			{name: "VALUE_LIST", decode: decodeHosts, reset: func(o *catalog.Object) { o.Spec.(*catalog.NetworkRuleSpec).Values = []string{} }},
		},
		describe: &description{
			columns: []rowset.Column{
				rowset.TimestampColumn("created_on"), rowset.TextColumn("name"), rowset.TextColumn("database_name"), rowset.TextColumn("schema_name"),
				rowset.TextColumn("owner"), rowset.TextColumn("comment"), rowset.TextColumn("type"), rowset.TextColumn("mode"),
				rowset.TextColumn("value_list"),
			},
			rows: func(l *listing, o *catalog.Object) ([][]*string, error) {
				return [][]*string{append(row(l, columns[:8], o), textCell(strings.Join(o.Spec.(*catalog.NetworkRuleSpec).Values, ",")))}, nil
			},
		},
		check: func(o *catalog.Object) error {
			s := o.Spec.(*catalog.NetworkRuleSpec)
			if s.Type == "" || s.Mode == "" {
				return errs.New(errs.Invalid, "SQL compilation error:\nMissing option(s): [TYPE, MODE]; write TYPE = HOST_PORT MODE = EGRESS").Numbered(2029, "22023")
			}
			return nil
		},
	}
}

// decodeHosts checks VALUE_LIST = ('host', 'host:port', '*.host:443', ...).
func decodeHosts(_ context.Context, w *work, v ast.Value) (change, error) {
	hosts, err := w.listValue("VALUE_LIST", v)
	if err != nil {
		return nil, err
	}
	for _, h := range hosts {
		host, port, err := net.SplitHostPort(h)
		if err != nil {
			host, port = h, "443"
		}
		n, err := strconv.Atoi(port)
		if err != nil || n < 0 || n > 65535 || host == "" || strings.ContainsAny(host, "/ :@") {
			return nil, badValue("VALUE_LIST", h, "'host' or 'host:port'")
		}
	}
	return func(o *catalog.Object) { o.Spec.(*catalog.NetworkRuleSpec).Values = hosts }, nil
}

func integrationKind() *kind {
	return &kind{
		kind: catalog.KindIntegration, plural: "EXTERNAL ACCESS INTEGRATIONS", label: "Integration", replace: true, rename: true, comments: true,
		properties: []property{
			namesProperty("ALLOWED_NETWORK_RULES", catalog.KindNetworkRule, func(s *catalog.IntegrationSpec) *[]string { return &s.Rules }).required(),
			namesProperty("ALLOWED_AUTHENTICATION_SECRETS", catalog.KindSecret, func(s *catalog.IntegrationSpec) *[]string { return &s.Secrets }),
			boolProperty("ENABLED", false, func(s *catalog.IntegrationSpec) *bool { return &s.Enabled }).required(),
		},
		columns: []column{
			nameColumn(), constant("type", "EXTERNAL_ACCESS"), constant("category", "SECURITY"),
			specCell("enabled", func(s *catalog.IntegrationSpec) *string { return boolText(s.Enabled) }), comment(), createdOn(),
		},
		describe: &description{
			columns: []rowset.Column{
				rowset.TextColumn("property"), rowset.TextColumn("property_type"), rowset.TextColumn("property_value"), rowset.TextColumn("property_default"),
			},
			rows: func(_ *listing, o *catalog.Object) ([][]*string, error) {
				s := o.Spec.(*catalog.IntegrationSpec)
				list := func(name string, values []string) []*string {
					return []*string{textCell(name), textCell("List"), textCell("[" + strings.Join(values, ",") + "]"), textCell("[]")}
				}
				return [][]*string{
					{textCell("ENABLED"), textCell("Boolean"), boolText(s.Enabled), textCell("false")},
					list("ALLOWED_NETWORK_RULES", s.Rules), list("ALLOWED_AUTHENTICATION_SECRETS", s.Secrets),
					{textCell("COMMENT"), textCell("String"), textCell(o.Comment), textCell("")},
				}, nil
			},
		},
		check: func(o *catalog.Object) error {
			if s := o.Spec.(*catalog.IntegrationSpec); len(s.Rules) == 0 {
				return errs.New(errs.Invalid, "SQL compilation error:\nMissing option(s): [ALLOWED_NETWORK_RULES]").Numbered(2029, "22023")
			}
			return nil
		},
	}
}

// namesProperty takes a list of objects that the role must be able to use, and keeps their full names.
func namesProperty(name string, kind catalog.Kind, field func(*catalog.IntegrationSpec) *[]string) property {
	return property{
		name: name,
		decode: func(ctx context.Context, w *work, v ast.Value) (change, error) {
			texts, err := w.listValue(name, v)
			if err != nil {
				return nil, err
			}
			full := []string{}
			for _, text := range texts {
				n, err := w.parseName(text, kind)
				if err != nil {
					return nil, err
				}
				// Who lets jobs use a rule or a secret must be allowed to use it.
				w.requires = append(w.requires, catalog.Requirement{Any: []catalog.Privilege{catalog.Usage}, Kind: kind, Name: n})
				full = append(full, n.String())
			}
			return func(o *catalog.Object) { *field(o.Spec.(*catalog.IntegrationSpec)) = full }, nil
		},
		reset: func(o *catalog.Object) { *field(o.Spec.(*catalog.IntegrationSpec)) = []string{} },
	}
}
