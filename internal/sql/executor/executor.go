// SPDX-License-Identifier: Apache-2.0

// Package executor is the one way in which SQL happens: parse, bind names, authorize, run, record, result. The SQL door, the
// console, the CLI's REST and tasks all end in Execute, with the same checks.
//
// It knows no protocol and no container: statements read and write the catalog, jobs are rows that the scheduler finds, images
// are judged through ImageChecker, logs read through JobLogs. One statement family per file, with the same file name in
// sql/ast, sql/parser and here.
//
// Read in this order: this file, run.go and request.go (the pipeline), record.go (what is stored), then the tables that say what
// there is: verb.go (statements), kind.go (kinds of objects, with CREATE, ALTER, DROP, DESCRIBE and SHOW over all of them),
// show.go, function.go (functions and methods), information.go (relations). A new one is one more entry of its table.
package executor

import (
	"context"
	"io"
	"log/slog"
	"reflect"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/sql/query"
	"firn.dev/firn/internal/sql/rowset"
)

// Executor runs statements. It is safe for concurrent use.
type Executor struct {
	options Options
	engine  *query.Engine
	codec   resultCodec
	runs    *runs

	verbs          map[reflect.Type]verb
	kinds          map[catalog.Kind]*kind
	shows          map[string]show
	functions      map[string]function // SELECT f(...) and CALL f(...)
	methods        map[string]function // CALL object!METHOD(...)
	views          map[string]relation // INFORMATION_SCHEMA.<name>
	tableFunctions map[string]relation // TABLE(f(...))
	tableMethods   map[string]relation // TABLE(object!METHOD(...))
}

// New makes an executor. Close ends it.
func New(o Options) *Executor {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Wake == nil {
		o.Wake = func() {}
	}
	e := &Executor{
		options: o, engine: query.New(), codec: newResultCodec(), runs: newRuns(), verbs: verbTable(), kinds: kindTable(), functions: functionTable(),
		methods: methodTable(), views: viewTable(), tableFunctions: tableFunctionTable(), tableMethods: tableMethodTable(),
	}
	e.shows = e.showTable()
	return e
}

// Close waits until nothing runs any more, or until ctx ends: then what still runs is cancelled.
func (e *Executor) Close(ctx context.Context) error {
	e.runs.drain(ctx)
	e.codec.close()
	return e.engine.Close()
}

// Options is what an Executor needs. All fields but Wake and Log are required.
type Options struct {
	Catalog  catalog.Store
	Images   ImageChecker
	Stages   Stages
	Logs     JobLogs
	Hosts    Hosts
	Node     string        // id of this process, unique among replicas and restarts
	Account  string        // account name, upper case
	Version  string        // x.y.z
	Registry func() string // host[:port] under which clients reach the registry
	// Upstream gives the canonical form of the URL of a registry that image repositories may have as their upstream.
	//
	// Errors: Invalid; Refused when it is not approved.
	Upstream func(url string) (string, error)
	Wake     func()           // hint to the scheduler that a job was submitted or cancelled
	Now      func() time.Time // the clock
	Log      *slog.Logger
}

// ImageChecker resolves and judges images for CREATE CUSTOM RUNTIME ENVIRONMENT and for every use.
type ImageChecker interface {
	// Resolve finds what a path /db/schema/repo/image[:tag][@digest] names now.
	//
	// Errors: Invalid for a malformed path; NotFound, naming what is missing and what to push.
	Resolve(ctx context.Context, path string) (ImageRef, error)
	// Check judges the image: the static checks on the stored layers, then a run of the image. The report is JSON of schema
	// firn.validate/1 and is given for fit and unfit images.
	//
	// Errors: Refused when the image is not fit, with every failed check and its remedy in the message; Unavailable when it
	// cannot be run now.
	Check(ctx context.Context, ref ImageRef, baseType string) (ImageVerdict, error)
	// Policy reads the text of an account's policy, "" being that of an account without one.
	//
	// Errors: Invalid, with line and key.
	Policy(text string) (PolicyInfo, error)
	// Terms gives what Check judges by now, the account's policy and the approved bases, as JSON of schema firn.policy/1.
	Terms(ctx context.Context) ([]byte, error)
}

// PolicyInfo names a policy for images.
type PolicyInfo struct {
	Name   string
	SHA256 string // of its content, hex, as reports give it
}

// ImageRef is an image in a repository, by digest.
type ImageRef struct {
	Repository *catalog.Object
	Image      string
	Tag        string            // "" when the path gave a digest only
	Digest     string            // of the linux/amd64 manifest
	TagDigest  string            // what the tag names: Digest, or the index that holds it
	Path       string            // /db/schema/repo/image:tag, repository part in lower case
	Labels     map[string]string // of the image's configuration; nil when not known
}

// ImageVerdict is what Check found about a fit image.
type ImageVerdict struct {
	Report    []byte
	BaseType  string // CPU or GPU
	BaseImage string // path of the approved base
	Python    string // X.Y
	Policy    string // text of the account's policy that was applied
}

// Stages reads and writes files of stages.
type Stages interface {
	Open(ctx context.Context, stage catalog.ID, path string) (io.ReadCloser, *catalog.File, error)
	Copy(ctx context.Context, from catalog.ID, fromPath string, to catalog.ID, toPath string) error
}

// JobLogs reads what a job's container printed.
type JobLogs interface {
	// Logs gives the last tail lines (0: all), each beginning with an RFC 3339 time and a blank when timestamps is set.
	//
	// Errors: NotFound when the instance has not started; the message contains "Container Status: PENDING".
	Logs(ctx context.Context, job *catalog.Job, instance, tail int, since time.Time, timestamps bool) (io.ReadCloser, error)
}

// Hosts tells what one instance of a pool can get on this installation.
type Hosts interface {
	// Clamp gives the CPU cores, memory in bytes and GPUs that an instance of the size gets here, at most what it asks for.
	Clamp(ctx context.Context, cpu float64, memory int64, gpus int) (float64, int64, int, error)
}

// Request is one request to run SQL text.
type Request struct {
	Text         string
	Binds        map[string]rowset.Bind // "1", "2", ... or names
	RequestID    string                 // the client's; a repeated one never runs twice. "" for none
	QueryID      string                 // UUID chosen by the door, so that it is known before the statement ends
	Parameters   map[string]string      // statement-level session parameters: QUERY_TAG, MULTI_STATEMENT_COUNT, TIMEZONE, ...
	DescribeOnly bool                   // run nothing, give columns
	Async        bool
}

// Result is what a statement gave.
type Result struct {
	QueryID  string
	Rowset   *rowset.Rowset
	TypeID   int // statementTypeId of the protocol: 4096 for SELECT, ...
	Binds    int // number of placeholders
	Transfer *Transfer
	Session  *catalog.Session // as it is after the statement; doors report names and parameters from it
	Children []Child          // of a request with several statements
	secret   errs.Secret      // the cell that is shown once: it is not stored; "" for none
}

// Child is one statement of a request with several.
type Child struct {
	QueryID string
	TypeID  int
}

// Transfer is what PUT and GET ask the client to do; the door makes URLs of it.
type Transfer struct {
	Upload        bool
	Stage         *catalog.Object   // object of the stage; for a user stage its ID is the user's and Spec is nil
	Prefix        string            // directory below the stage root, with trailing slash unless ""
	Local         string            // local path or directory as written, without file://
	Files         []*catalog.File   // to download; their Path is below the stage root
	Options       map[string]string // PARALLEL, AUTO_COMPRESS, SOURCE_COMPRESSION, OVERWRITE, THRESHOLD: upper-case names, text values
	BoundLocation bool              // the stage location came from a bind, so the client does not ask again for each file
}
