// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/imagecheck"
	"firn.dev/firn/internal/imagecheck/bundle"
	"firn.dev/firn/internal/imagecheck/source"
)

const imageExportLong = `Export writes every tag of an image repository, or of one image, or one tag, into an OCI archive, with all that is attached to the images
(signatures, SBOMs). To each image it attaches two documents in the archive, never on the server: a bill of materials in CycloneDX and the report
of firn validate as JSON. The tags are named IMAGE:TAG in the archive: firn validate oci-archive:FILE:churn:v1, skopeo copy
oci-archive:FILE:churn:v1 ...; firn image import puts all of them on another server.

What docker login has kept logs in. The file appears when it is whole. The same images, judged alike, give the same file. An image that fails
its validation is exported too: the report says so.

Exit codes: 0 written, 2 usage, 3 the server cannot be read or the file not written, 4 Firn itself failed.`

const imageImportLong = `Import puts the images of an OCI archive into an image repository, with their tags and all that is attached to them. First every digest of the
archive is compared with its content; then what the server lacks is sent, and the tags come last. A tag that is there is moved.

An archive of another tool may name its image by a tag alone, or not at all: then say HOST/db/schema/repository/IMAGE[:TAG].
What docker login has kept logs in; WRITE on the image repository is needed.

Exit codes: 0 done, 2 usage, 3 the archive or the server cannot be read or refuses, 4 Firn itself failed.`

func newImageExportCommand() *cobra.Command {
	e := exportFlags{}
	cmd := &cobra.Command{
		Use:   "export HOST/DB/SCHEMA/REPOSITORY[/IMAGE[:TAG]] FILE",
		Short: "Write images of a server into an OCI archive, with their SBOM and validation report",
		Long:  imageExportLong,
		Args:  wantArgs("what to export", "a FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if e.bare && (cmd.Flags().Changed("policy") || len(e.bases) > 0) {
				return usageError("--no-evidence judges nothing: leave out --policy and --base")
			}
			place, err := bundle.ParsePlace(args[0])
			if err != nil {
				return &exitError{code: exitUsage, err: err}
			}
			ctx := orBackground(cmd.Context())
			opts, err := e.judge(ctx, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			done, err := bundle.Export(ctx, place, args[1], source.Settings{}, opts)
			if err != nil {
				return notCarried(err)
			}
			sayExported(cmd.OutOrStdout(), args[1], done)
			return nil
		},
	}
	e.add(cmd)
	cmd.Flags().StringVar(&e.policy, "policy", imagecheck.PolicyDefault, "default, snow-cli or a file: what the validation reports judge by")
	cmd.Flags().StringArrayVar(&e.bases, "base", nil, "image that the images must be built on; may be repeated")
	cmd.Flags().BoolVar(&e.bare, "no-evidence", false, "attach no bills of materials and no validation reports")
	return cmd
}

// exportFlags are the flags of `firn image export`.
type exportFlags struct {
	readFlags
	policy string
	bases  []string
	bare   bool
}

// judge gives how images are judged, nil for not at all.
func (f *exportFlags) judge(ctx context.Context, stderr io.Writer) (*imagecheck.Options, error) {
	if f.bare {
		return nil, nil
	}
	policy, err := readPolicy(f.policy)
	if err != nil {
		return nil, err
	}
	opts, err := f.options(policy, stderr)
	if err != nil {
		return nil, err
	}
	if opts.Bases, err = openBases(ctx, f.bases, source.Settings{Platform: f.platform}); err != nil {
		return nil, unreadable(err)
	}
	return &opts, nil
}

func sayExported(w io.Writer, file string, done *bundle.Exported) {
	for _, t := range done.Tags {
		verdict := ""
		if t.Result != "" {
			verdict = "  validation: " + t.Result
		}
		fmt.Fprintf(w, "%s:%s  %s%s\n", t.Image, t.Tag, t.Digest, verdict)
	}
	fmt.Fprintf(w, "%s: tags: %d, attachments: %d, blobs: %d, bytes: %d\n", file, len(done.Tags), done.Attachments, done.Blobs, done.Bytes)
}

func newImageImportCommand() *cobra.Command {
	dry := false
	cmd := &cobra.Command{
		Use:   "import FILE HOST/DB/SCHEMA/REPOSITORY[/IMAGE[:TAG]]",
		Short: "Put the images of an OCI archive on a server, with tags and attachments",
		Long:  imageImportLong,
		Args:  wantArgs("a FILE", "where to import"),
		RunE: func(cmd *cobra.Command, args []string) error {
			place, err := bundle.ParsePlace(args[1])
			if err != nil {
				return &exitError{code: exitUsage, err: err}
			}
			done, err := bundle.Import(orBackground(cmd.Context()), args[0], place, source.Settings{}, dry)
			if err != nil {
				return notCarried(err)
			}
			sayImported(cmd.OutOrStdout(), place, done, dry)
			return nil
		},
	}
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError("%v", err) })
	cmd.Flags().BoolVar(&dry, "dry-run", false, "check the archive and say what would be done, send nothing")
	return cmd
}

func sayImported(w io.Writer, place bundle.Place, done *bundle.Imported, dry bool) {
	for _, t := range done.Tags {
		change := "moved from " + t.Before
		switch t.Before {
		case "":
			change = "new"
		case t.Digest:
			change = "was there"
		}
		fmt.Fprintf(w, "%s:%s  %s  %s\n", t.Image, t.Tag, t.Digest, change)
	}
	for _, digest := range done.LeftOut {
		fmt.Fprintf(w, "left out: %s is attached to something that is not in the archive\n", digest)
	}
	if dry {
		fmt.Fprintf(w, "dry run, nothing was sent to %s: sound blobs: %d, new manifests: %d, new blobs: %d (%d bytes, less what can be mounted)\n",
			place, done.Verified, done.Manifests, done.Blobs, done.Bytes)
		return
	}
	fmt.Fprintf(w, "%s: tags: %d, new manifests: %d, new blobs: %d, sent: %d (%d bytes)\n",
		place, len(done.Tags), done.Manifests, done.Blobs, done.Uploaded, done.Bytes)
}

// notCarried gives the exit code of images that could not be exported or imported.
func notCarried(err error) error {
	if errs.Is(err, errs.Invalid) {
		return &exitError{code: exitUsage, err: err}
	}
	return unreadable(err)
}
