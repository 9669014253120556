// SPDX-License-Identifier: Apache-2.0

package catalog

import "slices"

// Privilege is a right on an object, written as in GRANT <privilege> ON.
type Privilege string

// The privileges on objects. "CREATE <kind>" privileges are made by CreatePrivilege.
const (
	Ownership           Privilege = "OWNERSHIP"
	Usage               Privilege = "USAGE"
	Monitor             Privilege = "MONITOR"
	Modify              Privilege = "MODIFY"
	Operate             Privilege = "OPERATE"
	Read                Privilege = "READ"
	Write               Privilege = "WRITE"
	ManageGrants        Privilege = "MANAGE GRANTS"
	ExecuteTask         Privilege = "EXECUTE TASK"
	BindServiceEndpoint Privilege = "BIND SERVICE ENDPOINT"
)

// CreatePrivilege is the right to create objects of a kind, held on the account, the database or the schema.
func CreatePrivilege(kind Kind) Privilege { return Privilege("CREATE " + string(kind)) }

// Privileges lists what can be granted on objects of a kind, OWNERSHIP apart. ALL means this list.
func Privileges(kind Kind) []Privilege {
	switch kind {
	case KindAccount:
		return []Privilege{
			CreatePrivilege(KindDatabase), CreatePrivilege(KindRole), CreatePrivilege(KindUser), CreatePrivilege(KindWarehouse),
			CreatePrivilege(KindComputePool), CreatePrivilege(KindIntegration), CreatePrivilege(KindRuntimeEnvironment),
			ExecuteTask, BindServiceEndpoint, ManageGrants, Monitor,
		}
	case KindDatabase:
		return []Privilege{Usage, Monitor, Modify, CreatePrivilege(KindSchema)}
	case KindSchema:
		return []Privilege{
			Usage, Monitor, Modify, CreatePrivilege(KindStage), CreatePrivilege(KindImageRepository), CreatePrivilege(KindService),
			CreatePrivilege(KindSecret), CreatePrivilege(KindNetworkRule),
		}
	case KindStage:
		return []Privilege{Usage, Read, Write}
	case KindImageRepository:
		return []Privilege{Read, Write}
	case KindService:
		return []Privilege{Usage, Monitor, Operate}
	case KindSecret:
		return []Privilege{Usage, Read}
	case KindIntegration:
		return []Privilege{Usage}
	case KindNetworkRule:
		return []Privilege{Usage}
	case KindComputePool, KindWarehouse:
		return []Privilege{Usage, Monitor, Operate, Modify}
	case KindRuntimeEnvironment:
		return []Privilege{Usage, Monitor, Modify}
	case KindUser:
		return []Privilege{Monitor}
	}
	return nil
}

// Grantable tells whether the privilege exists on objects of the kind.
func Grantable(kind Kind, p Privilege) bool {
	return p == Ownership || slices.Contains(Privileges(kind), p)
}

// Requirement is what a statement needs on one object: any one of the privileges, OWNERSHIP of it always being enough. USAGE on the
// database and schema that hold the object is implied.
type Requirement struct {
	Any      []Privilege // empty: any privilege at all, the right to know of the object
	Kind     Kind
	Name     Name
	Optional bool // the object may be missing (IF EXISTS, OR REPLACE); then nothing is required of it
}
