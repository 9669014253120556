// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/rbac"
)

// The objects that exist from the start.
const (
	Account           = "FIRN"
	AdminUser         = "ADMIN"
	SystemDatabase    = "SNOWFLAKE"
	SystemPool        = "SYSTEM_COMPUTE_POOL_CPU"
	SystemPoolGPU     = "SYSTEM_COMPUTE_POOL_GPU"
	NotebookWarehouse = "SYSTEM$STREAMLIT_NOTEBOOK_WH"
)

// BaseRepository is the image repository of approved base images.
func BaseRepository() catalog.Name {
	return catalog.Name{Database: SystemDatabase, Schema: "IMAGES", Object: "SNOWFLAKE_IMAGES"}
}

// Bootstrap creates what every account has from the start and leaves alone what is there: the account, the built-in roles,
// user ADMIN with the password hash, database SNOWFLAKE with the repository of base images, the system's pool and warehouse,
// and the grants that make them usable. A second call changes nothing, so every start may make it.
//
// Errors: what the catalog returns.
func Bootstrap(ctx context.Context, store catalog.Store, adminPasswordHash string, now time.Time) error {
	return store.Update(ctx, func(tx catalog.Tx) error {
		b := bootstrap{tx: tx, now: now}
		b.account()
		b.roles()
		b.user(adminPasswordHash)
		b.system()
		b.grants()
		return b.err
	})
}

// AddGPUPool creates the system's GPU pool, for installations that have one, and leaves alone one that is there.
//
// Errors: what the catalog returns.
func AddGPUPool(ctx context.Context, store catalog.Store, now time.Time) error {
	return store.Update(ctx, func(tx catalog.Tx) error {
		b := bootstrap{tx: tx, now: now}
		b.pool(SystemPoolGPU, "GPU_NV_S")
		return b.err
	})
}

// bootstrap creates objects until the first failure.
type bootstrap struct {
	tx  catalog.Tx
	now time.Time
	err error
}

// add creates an object unless it is there, and gives it. fresh tells whether it was created now.
func (b *bootstrap) add(o *catalog.Object) (there *catalog.Object, fresh bool) {
	if b.err != nil {
		return o, false
	}
	var have *catalog.Object
	var err error
	if o.Kind == catalog.KindAccount {
		have, err = b.tx.ObjectByID(o.ID)
	} else {
		have, err = b.tx.Object(o.Kind, o.Name)
	}
	if err == nil {
		return have, false
	}
	if b.err = err; errs.Is(err, errs.NotFound) {
		b.err = b.tx.CreateObject(o)
	}
	return o, b.err == nil
}

func (b *bootstrap) account() {
	b.add(&catalog.Object{ID: catalog.AccountID, Kind: catalog.KindAccount, Name: catalog.Name{Object: Account}, Spec: &catalog.AccountSpec{}})
}

// builtInEdges are the role grants of every account.
func builtInEdges() []catalog.RoleGrant {
	return []catalog.RoleGrant{
		{Role: catalog.RoleSysAdmin, ToRole: catalog.RoleAccountAdmin}, {Role: catalog.RoleSecurityAdmin, ToRole: catalog.RoleAccountAdmin},
		{Role: catalog.RoleUserAdmin, ToRole: catalog.RoleSecurityAdmin},
	}
}

func (b *bootstrap) roles() {
	for _, r := range []struct{ name, comment string }{
		{catalog.RoleAccountAdmin, "Account administrator can manage all aspects of the account."},
		{catalog.RoleSecurityAdmin, "Security administrator can manage security aspects of the account."},
		{catalog.RoleUserAdmin, "User administrator can create and manage users and roles"},
		{catalog.RoleSysAdmin, "System administrator can create and manage databases and warehouses."},
		{catalog.RolePublic, "Public role is automatically available to every user in the account."},
	} {
		b.add(&catalog.Object{Kind: catalog.KindRole, Name: catalog.Name{Object: r.name}, Comment: r.comment, Spec: &catalog.RoleSpec{BuiltIn: true}})
	}
	for _, edge := range builtInEdges() {
		b.edge(edge)
	}
}

func (b *bootstrap) edge(e catalog.RoleGrant) {
	if b.err == nil {
		e.Created = b.now
		b.err = b.tx.PutRoleGrant(e)
	}
}

// user creates ADMIN and its personal database. Only a new ADMIN gets the role, so that a revoke lasts.
func (b *bootstrap) user(passwordHash string) {
	_, fresh := b.add(&catalog.Object{
		Kind: catalog.KindUser, Name: catalog.Name{Object: AdminUser}, Owner: catalog.RoleAccountAdmin, Spec: &catalog.UserSpec{
			LoginName: AdminUser, DisplayName: AdminUser, PasswordHash: passwordHash, DefaultRole: catalog.RoleAccountAdmin,
		},
	})
	if fresh {
		b.edge(catalog.RoleGrant{Role: catalog.RoleAccountAdmin, ToUser: AdminUser})
	}
	b.database("USER$"+AdminUser, catalog.RoleAccountAdmin, AdminUser, publicSchema)
}

// database creates a database with schemas. A role that owns it owns the schemas too.
func (b *bootstrap) database(name, owner, personal string, schemas ...string) {
	_, fresh := b.add(&catalog.Object{
		Kind: catalog.KindDatabase, Name: catalog.Name{Object: name}, Owner: owner, Spec: &catalog.DatabaseSpec{RetentionDays: 1, Personal: personal},
	})
	if !fresh {
		return
	}
	for _, schema := range append(schemas, rbac.InformationSchema) {
		by := owner
		if schema == rbac.InformationSchema {
			by = ""
		}
		b.add(&catalog.Object{
			Kind: catalog.KindSchema, Name: catalog.Name{Database: name, Object: schema}, Owner: by, Spec: &catalog.SchemaSpec{RetentionDays: 1},
		})
	}
}

// system creates what belongs to Firn. Nobody owns it, so nobody can drop it or give it away.
func (b *bootstrap) system() {
	b.database(SystemDatabase, "", "", "IMAGES", "SPCS", "CORE")
	b.add(&catalog.Object{
		Kind: catalog.KindImageRepository, Name: BaseRepository(), Comment: "approved base images",
		Spec: &catalog.ImageRepositorySpec{Encryption: "SNOWFLAKE_SSE"},
	})
	b.pool(SystemPool, "CPU_X64_S")
	b.add(&catalog.Object{
		Kind: catalog.KindWarehouse, Name: catalog.Name{Object: NotebookWarehouse}, Owner: catalog.RoleAccountAdmin,
		Spec: &catalog.WarehouseSpec{Size: "X-Small", AutoSuspendSecs: 60, AutoResume: true},
	})
}

func (b *bootstrap) pool(name, family string) {
	pool, fresh := b.add(&catalog.Object{
		Kind: catalog.KindComputePool, Name: catalog.Name{Object: name}, Owner: catalog.RoleAccountAdmin,
		Spec: &catalog.ComputePoolSpec{InstanceFamily: family, MinNodes: 1, MaxNodes: 150, AutoResume: true, AutoSuspendSecs: 600, System: true},
	})
	if fresh {
		b.grant(pool, catalog.RolePublic, catalog.Usage)
	}
}

func (b *bootstrap) grant(o *catalog.Object, role string, privileges ...catalog.Privilege) {
	for _, p := range privileges {
		if b.err == nil {
			b.err = b.tx.PutGrant(catalog.Grant{Object: o.ID, Privilege: p, Role: role, GrantedBy: o.Owner, Created: b.now})
		}
	}
}

// grants gives the privileges of the built-in roles, once: in an account that has none of them yet.
func (b *bootstrap) grants() {
	if b.err != nil {
		return
	}
	account, err := b.tx.ObjectByID(catalog.AccountID)
	if b.err = err; err != nil {
		return
	}
	for _, err := range b.tx.GrantsOn(account.ID) {
		b.err = err
		return
	}
	account.Owner = catalog.RoleAccountAdmin // the grantor that the rows name
	b.grant(account, catalog.RoleAccountAdmin, catalog.Privileges(catalog.KindAccount)...)
	b.grant(account, catalog.RoleSecurityAdmin, catalog.ManageGrants)
	b.grant(account, catalog.RoleUserAdmin, catalog.CreatePrivilege(catalog.KindUser), catalog.CreatePrivilege(catalog.KindRole))
	b.grant(account, catalog.RoleSysAdmin, catalog.CreatePrivilege(catalog.KindDatabase), catalog.CreatePrivilege(catalog.KindWarehouse),
		catalog.CreatePrivilege(catalog.KindComputePool))
	b.public(catalog.KindDatabase, catalog.Name{Object: SystemDatabase}, catalog.RolePublic, catalog.Usage)
	for _, schema := range []string{"IMAGES", "SPCS", "CORE"} {
		b.public(catalog.KindSchema, catalog.Name{Database: SystemDatabase, Object: schema}, catalog.RolePublic, catalog.Usage)
	}
	b.public(catalog.KindImageRepository, BaseRepository(), catalog.RolePublic, catalog.Read)
	b.public(catalog.KindImageRepository, BaseRepository(), catalog.RoleAccountAdmin, catalog.Read, catalog.Write)
	b.public(catalog.KindWarehouse, catalog.Name{Object: NotebookWarehouse}, catalog.RolePublic, catalog.Usage)
}

// public grants privileges on an object that belongs to Firn.
func (b *bootstrap) public(kind catalog.Kind, name catalog.Name, role string, privileges ...catalog.Privilege) {
	if b.err != nil {
		return
	}
	o, err := b.tx.Object(kind, name)
	if b.err = err; err == nil {
		b.grant(o, role, privileges...)
	}
}
