// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"strings"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/rbac"
	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/rowset"
)

// warehouseSizes are the sizes as SHOW writes them, in order.
func warehouseSizes() []string {
	return []string{"X-Small", "Small", "Medium", "Large", "X-Large", "2X-Large", "3X-Large", "4X-Large", "5X-Large", "6X-Large"}
}

// warehouseSize finds a size in any spelling: XSMALL, 'X-Small', X2LARGE, XXLARGE.
func warehouseSize(text string) (string, bool) {
	plain := func(s string) string {
		return strings.NewReplacer("-", "", "_", "", "XX", "2X").Replace(strings.ToUpper(s))
	}
	want := plain(text)
	if strings.HasPrefix(want, "X") && len(want) > 2 && want[1] >= '2' && want[1] <= '6' {
		want = want[1:2] + "X" + want[2:]
	}
	want = strings.ReplaceAll(want, "2XX", "3X")
	for _, size := range warehouseSizes() {
		if plain(size) == want {
			return size, true
		}
	}
	return "", false
}

func warehouseKind() *kind {
	number := specNumber[*catalog.WarehouseSpec]
	idle := func(name string) column {
		return column{rowset.NumberColumn(name), func(*listing, *catalog.Object) *string { return textCell("0") }}
	}
	return &kind{
		kind: catalog.KindWarehouse, plural: "WAREHOUSES", replace: true, rename: true, comments: true,
		properties: warehouseProperties(),
		columns: []column{
			nameColumn(), specText("state", warehouseState), constant("type", "STANDARD"),
			specText("size", func(s *catalog.WarehouseSpec) string { return s.Size }),
			number("min_cluster_count", func(*catalog.WarehouseSpec) int { return 1 }),
			number("max_cluster_count", func(*catalog.WarehouseSpec) int { return 1 }),
			number("started_clusters", func(s *catalog.WarehouseSpec) int {
				if s.Suspended {
					return 0
				}
				return 1
			}),
			idle("running"), idle("queued"),
			textOf("is_default", func(l *listing, o *catalog.Object) *string { return yesNo(l.user().DefaultWarehouse == o.Name.Object) }),
			textOf("is_current", func(l *listing, o *catalog.Object) *string { return yesNo(l.w.session.Warehouse == o.Name.Object) }),
			number("auto_suspend", func(s *catalog.WarehouseSpec) int { return s.AutoSuspendSecs }),
			specCell("auto_resume", func(s *catalog.WarehouseSpec) *string { return boolText(s.AutoResume) }),
			constant("available", "100"), constant("provisioning", "0"), constant("quiescing", "0"), constant("other", "0"),
			createdOn(),
			{rowset.TimestampColumn("resumed_on"), func(_ *listing, o *catalog.Object) *string {
				return timeCell(o.Spec.(*catalog.WarehouseSpec).Resumed)
			}},
			updatedOn(), owner(), comment(), constant("enable_query_acceleration", "false"),
			number("query_acceleration_max_scale_factor", func(*catalog.WarehouseSpec) int { return 8 }),
			constant("resource_monitor", "null"), constant("scaling_policy", "STANDARD"), ownerRoleType(),
		},
		describe: &description{
			columns: []rowset.Column{rowset.TimestampColumn("created_on"), rowset.TextColumn("name"), rowset.TextColumn("kind")},
			rows: func(_ *listing, o *catalog.Object) ([][]*string, error) {
				return [][]*string{{timeCell(o.Created), textCell(o.Name.Object), textCell("WAREHOUSE")}}, nil
			},
		},
		check: func(o *catalog.Object) error {
			if spec := o.Spec.(*catalog.WarehouseSpec); spec.Size == "" {
				spec.Size = "X-Small"
			}
			return nil
		},
		created: func(w *work, tx catalog.Tx, o *catalog.Object) error {
			return w.change(tx, func(s *catalog.Session) { s.Warehouse = o.Name.Object })
		},
		dropping: func(w *work, tx catalog.Tx, o *catalog.Object) error {
			return w.change(tx, func(s *catalog.Session) {
				if s.Warehouse == o.Name.Object {
					s.Warehouse = ""
				}
			})
		},
		actions: warehouseActions(),
	}
}

func warehouseActions() map[string]action {
	return map[string]action{
		"SUSPEND":             {run: suspendWarehouse},
		"RESUME":              {run: resumeWarehouse},
		"RESUME IF SUSPENDED": {run: resumeIfSuspended},
		"ABORT ALL QUERIES":   {run: func(*work, catalog.Tx, *rbac.Guard, *catalog.Object) error { return nil }},
	}
}

func warehouseProperties() []property {
	size := property{
		name: "WAREHOUSE_SIZE",
		decode: func(_ context.Context, w *work, v ast.Value) (change, error) {
			text, err := w.textValue("WAREHOUSE_SIZE", v)
			if err != nil {
				return nil, err
			}
			name, ok := warehouseSize(text)
			if !ok {
				return nil, badValue("WAREHOUSE_SIZE", text, strings.Join(warehouseSizes(), ", "))
			}
			return func(o *catalog.Object) { o.Spec.(*catalog.WarehouseSpec).Size = name }, nil
		},
		reset: func(o *catalog.Object) { o.Spec.(*catalog.WarehouseSpec).Size = "X-Small" },
	}
	const year = 366 * 24 * 3600
	properties := []property{
		size,
		numberProperty("AUTO_SUSPEND", 0, year, 600, func(s *catalog.WarehouseSpec) *int { return &s.AutoSuspendSecs }),
		boolProperty("AUTO_RESUME", true, func(s *catalog.WarehouseSpec) *bool { return &s.AutoResume }),
		boolProperty("INITIALLY_SUSPENDED", false, func(s *catalog.WarehouseSpec) *bool { return &s.Suspended }).atCreation(),
	}
	for _, name := range []string{
		"WAREHOUSE_TYPE", "MAX_CLUSTER_COUNT", "MIN_CLUSTER_COUNT", "SCALING_POLICY", "RESOURCE_MONITOR", "ENABLE_QUERY_ACCELERATION",
		"QUERY_ACCELERATION_MAX_SCALE_FACTOR", "MAX_CONCURRENCY_LEVEL", "STATEMENT_QUEUED_TIMEOUT_IN_SECONDS", "STATEMENT_TIMEOUT_IN_SECONDS",
	} {
		properties = append(properties, ignoredProperty(name))
	}
	return properties
}

func warehouseState(s *catalog.WarehouseSpec) string {
	if s.Suspended {
		return "SUSPENDED"
	}
	return "STARTED"
}

func suspendWarehouse(_ *work, _ catalog.Tx, _ *rbac.Guard, o *catalog.Object) error {
	spec := o.Spec.(*catalog.WarehouseSpec)
	if spec.Suspended {
		return errs.New(errs.Refused, "Invalid state. Warehouse '%s' cannot be suspended.", o.Name).Numbered(90064, "22000")
	}
	spec.Suspended = true
	return nil
}

func resumeWarehouse(w *work, tx catalog.Tx, g *rbac.Guard, o *catalog.Object) error {
	if !o.Spec.(*catalog.WarehouseSpec).Suspended {
		return errs.New(errs.Refused, "Invalid state. Warehouse '%s' cannot be resumed.", o.Name).Numbered(90063, "22000")
	}
	return resumeIfSuspended(w, tx, g, o)
}

func resumeIfSuspended(_ *work, tx catalog.Tx, _ *rbac.Guard, o *catalog.Object) error {
	spec := o.Spec.(*catalog.WarehouseSpec)
	spec.Suspended, spec.Resumed = false, tx.Now()
	return nil
}
