// SPDX-License-Identifier: Apache-2.0

package catalog

import "time"

// AccountSpec is the account itself: the one object of KindAccount, the target of account-level grants.
type AccountSpec struct {
	Parameters map[string]string `json:"parameters,omitempty"`
	Install    string            `json:"install,omitempty"`    // names this installation on engines that others share
	SigningKey []byte            `json:"signingKey,omitempty"` // of links to stage files; shared by all replicas
}

// RoleSpec is an account role.
type RoleSpec struct {
	BuiltIn bool `json:"builtIn,omitempty"`
}

// UserSpec is a user. Password is an argon2id hash in PHC form; public keys are the base64 of their DER form.
type UserSpec struct {
	LoginName          string    `json:"loginName"` // upper case; the user's name unless set
	DisplayName        string    `json:"displayName,omitempty"`
	FirstName          string    `json:"firstName,omitempty"`
	LastName           string    `json:"lastName,omitempty"`
	Email              string    `json:"email,omitempty"`
	Type               string    `json:"type,omitempty"` // PERSON, SERVICE, LEGACY_SERVICE or ""
	PasswordHash       string    `json:"passwordHash,omitempty"`
	PublicKey          string    `json:"publicKey,omitempty"`
	PublicKey2         string    `json:"publicKey2,omitempty"`
	DefaultRole        string    `json:"defaultRole,omitempty"`
	DefaultWarehouse   string    `json:"defaultWarehouse,omitempty"`
	DefaultNamespace   string    `json:"defaultNamespace,omitempty"` // "DB" or "DB.SCHEMA"
	Disabled           bool      `json:"disabled,omitempty"`
	MustChangePassword bool      `json:"mustChangePassword,omitempty"`
	LastLogin          time.Time `json:"lastLogin,omitzero"`
}

// DatabaseSpec is a database.
type DatabaseSpec struct {
	RetentionDays int    `json:"retentionDays"`
	Transient     bool   `json:"transient,omitempty"`
	Personal      string `json:"personal,omitempty"`   // user name, for USER$NAME
	ImageQuota    int64  `json:"imageQuota,omitempty"` // bytes that its image repositories may hold together; 0: no limit
}

// SchemaSpec is a schema.
type SchemaSpec struct {
	RetentionDays int `json:"retentionDays"`
}

// StageSpec is an internal stage. Its files are rows of Files.
type StageSpec struct {
	Encryption string `json:"encryption"` // SNOWFLAKE_SSE or SNOWFLAKE_FULL as written; files are stored as sent in both
	Directory  bool   `json:"directory,omitempty"`
}

// ImageRepositorySpec is an image repository. Its images are rows of Images.
type ImageRepositorySpec struct {
	Encryption     string   `json:"encryption"`               // SNOWFLAKE_SSE or SNOWFLAKE_FULL as written
	ImmutableTags  []string `json:"immutableTags,omitempty"`  // patterns, * being any text: tags that neither move nor go
	RetentionCount int      `json:"retentionCount,omitempty"` // newest tags of each image that retention keeps
	RetentionDays  int      `json:"retentionDays,omitempty"`  // age of tags up to which retention keeps them; with both 0 it keeps all
	Quota          int64    `json:"quota,omitempty"`          // bytes; 0: no limit
	MediaTypes     []string `json:"mediaTypes,omitempty"`     // patterns, * being any text: what may be pushed; none: all
	Upstream       string   `json:"upstream,omitempty"`       // URL below which its images are in another registry, from where pulls fetch them; "": none
	UpstreamSecret Name     `json:"upstreamSecret,omitzero"`  // secret of type PASSWORD that logs in there; zero: nobody logs in
}

// ServiceSpec is a service or job service: the object behind DESCRIBE SERVICE. What runs is the Job with the same id.
type ServiceSpec struct {
	JobID          ID       `json:"jobId"`
	IsJob          bool     `json:"isJob"`
	IsAsync        bool     `json:"isAsync"`
	ComputePool    string   `json:"computePool"`
	QueryWarehouse string   `json:"queryWarehouse,omitempty"`
	Integrations   []string `json:"integrations,omitempty"`
	YAML           string   `json:"yaml"` // complete service specification as users see it
	MinInstances   int      `json:"minInstances"`
	MaxInstances   int      `json:"maxInstances"`
}

// SecretSpec is a secret. Values never leave it but into the containers that may use it.
type SecretSpec struct {
	Type     string `json:"type"` // GENERIC_STRING or PASSWORD
	Username string `json:"username,omitempty"`
	Value    string `json:"value"`
}

// NetworkRuleSpec is a list of destinations.
type NetworkRuleSpec struct {
	Mode   string   `json:"mode"` // EGRESS
	Type   string   `json:"type"` // HOST_PORT
	Values []string `json:"values"`
}

// IntegrationSpec is an external access integration.
type IntegrationSpec struct {
	Rules   []string `json:"rules"`   // dotted names of network rules
	Secrets []string `json:"secrets"` // dotted names of secrets
	Enabled bool     `json:"enabled"`
}

// ComputePoolSpec is a compute pool.
type ComputePoolSpec struct {
	InstanceFamily  string    `json:"instanceFamily"`
	MinNodes        int       `json:"minNodes"`
	MaxNodes        int       `json:"maxNodes"`
	AutoResume      bool      `json:"autoResume"`
	AutoSuspendSecs int       `json:"autoSuspendSecs"`
	Suspended       bool      `json:"suspended,omitempty"`
	Resumed         time.Time `json:"resumed,omitzero"`
	System          bool      `json:"system,omitempty"`
}

// WarehouseSpec is a warehouse: a name that sessions and grants refer to; Firn's statements need no compute of it.
type WarehouseSpec struct {
	Size            string    `json:"size"`
	AutoSuspendSecs int       `json:"autoSuspendSecs"`
	AutoResume      bool      `json:"autoResume"`
	Suspended       bool      `json:"suspended"`
	Resumed         time.Time `json:"resumed,omitzero"`
}

// EnvironmentStatus is the CRE_STATUS of a custom runtime environment.
type EnvironmentStatus string

// The statuses. ALTER CUSTOM RUNTIME ENVIRONMENT ... SET CRE_STATUS moves an environment between them, in both directions.
const (
	Resolved   EnvironmentStatus = "RESOLVED"
	Deprecated EnvironmentStatus = "DEPRECATED"
)

// RuntimeEnvironmentSpec is a custom runtime environment: a name for one image, by digest.
type RuntimeEnvironmentSpec struct {
	Repository ID                `json:"repository"` // id of the image repository
	Image      string            `json:"image"`      // image name inside the repository
	Tag        string            `json:"tag"`        // "" when it was given by digest
	Digest     string            `json:"digest"`     // of the linux/amd64 image manifest that runs
	TagDigest  string            `json:"tagDigest"`  // what the tag named at creation: Digest, or an index that holds it
	Path       string            `json:"path"`       // /db/schema/repo/image:tag, lower-case repository part
	BaseType   string            `json:"baseType"`   // CPU or GPU
	BaseImage  string            `json:"baseImage"`  // path of the approved base it derives from
	Python     string            `json:"python"`     // X.Y of the primary environment
	Status     EnvironmentStatus `json:"status"`
}

// Kind of each spec.
func (*AccountSpec) Kind() Kind            { return KindAccount }
func (*RoleSpec) Kind() Kind               { return KindRole }
func (*UserSpec) Kind() Kind               { return KindUser }
func (*DatabaseSpec) Kind() Kind           { return KindDatabase }
func (*SchemaSpec) Kind() Kind             { return KindSchema }
func (*StageSpec) Kind() Kind              { return KindStage }
func (*ImageRepositorySpec) Kind() Kind    { return KindImageRepository }
func (*ServiceSpec) Kind() Kind            { return KindService }
func (*SecretSpec) Kind() Kind             { return KindSecret }
func (*NetworkRuleSpec) Kind() Kind        { return KindNetworkRule }
func (*IntegrationSpec) Kind() Kind        { return KindIntegration }
func (*ComputePoolSpec) Kind() Kind        { return KindComputePool }
func (*WarehouseSpec) Kind() Kind          { return KindWarehouse }
func (*RuntimeEnvironmentSpec) Kind() Kind { return KindRuntimeEnvironment }

// NewSpec gives an empty spec of the kind, for decoding; nil for an unknown kind.
func NewSpec(kind Kind) Spec {
	switch kind {
	case KindAccount:
		return &AccountSpec{}
	case KindRole:
		return &RoleSpec{}
	case KindUser:
		return &UserSpec{}
	case KindDatabase:
		return &DatabaseSpec{}
	case KindSchema:
		return &SchemaSpec{}
	case KindStage:
		return &StageSpec{}
	case KindImageRepository:
		return &ImageRepositorySpec{}
	case KindService:
		return &ServiceSpec{}
	case KindSecret:
		return &SecretSpec{}
	case KindNetworkRule:
		return &NetworkRuleSpec{}
	case KindIntegration:
		return &IntegrationSpec{}
	case KindComputePool:
		return &ComputePoolSpec{}
	case KindWarehouse:
		return &WarehouseSpec{}
	case KindRuntimeEnvironment:
		return &RuntimeEnvironmentSpec{}
	}
	return nil
}

// Get finds an object together with its spec in its own type.
//
// Errors: NotFound.
func Get[S Spec](tx Objects, name Name) (*Object, S, error) {
	var zero S
	o, err := tx.Object(zero.Kind(), name)
	if err != nil {
		return nil, zero, err
	}
	return o, o.Spec.(S), nil
}
