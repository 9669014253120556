// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"iter"
	"time"
)

// AccountID is the id of the account object, the target of account-level grants.
const AccountID ID = "00000000-0000-7000-8000-000000000001"

// The built-in roles. ACCOUNTADMIN holds SYSADMIN and SECURITYADMIN, which holds USERADMIN; every role and user holds PUBLIC.
const (
	RoleAccountAdmin  = "ACCOUNTADMIN"
	RoleSecurityAdmin = "SECURITYADMIN"
	RoleUserAdmin     = "USERADMIN"
	RoleSysAdmin      = "SYSADMIN"
	RolePublic        = "PUBLIC"
)

// Grant is a privilege on an object, held by a role.
type Grant struct {
	Object      ID
	Privilege   Privilege
	Role        string // grantee
	GrantOption bool
	GrantedBy   string // role
	Created     time.Time
}

// RoleGrant is a role granted to a role or to a user.
type RoleGrant struct {
	Role      string // what is granted
	ToRole    string // grantee, or ""
	ToUser    string // grantee, or ""
	GrantedBy string // role
	Created   time.Time
}

// Grants keeps privileges and the role graph. OWNERSHIP is Object.Owner, not a row here.
type Grants interface {
	// PutGrant adds the grant, with Created filled, or sets the grant option of one that exists.
	//
	// Errors: NotFound when the object is missing.
	PutGrant(g Grant) error
	// DeleteGrant takes the privilege away; nothing happens when the role does not hold it.
	DeleteGrant(object ID, p Privilege, role string) error
	// GrantsOn lists the grants on an object, ordered by privilege and role.
	GrantsOn(object ID) iter.Seq2[Grant, error]
	// GrantsTo lists the grants that a role itself holds, ordered by object id and privilege.
	GrantsTo(role string) iter.Seq2[Grant, error]
	// PutRoleGrant adds an edge of the role graph, with Created filled; nothing happens when it exists.
	//
	// Errors: Invalid unless exactly one of ToRole and ToUser is set.
	PutRoleGrant(g RoleGrant) error
	// DeleteRoleGrant removes an edge; nothing happens when it is missing.
	//
	// Errors: Invalid unless exactly one of toRole and toUser is set.
	DeleteRoleGrant(role, toRole, toUser string) error
	// RoleGrants lists every edge of the role graph, ordered by role and grantee, a role before a user of the
	// same name. It is small; callers filter.
	RoleGrants() iter.Seq2[RoleGrant, error]
}
