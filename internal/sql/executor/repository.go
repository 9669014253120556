// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"cmp"
	"context"
	"strings"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/rbac"
	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/query"
	"firn.dev/firn/internal/sql/rowset"
)

func repositoryKind() *kind {
	return &kind{
		kind: catalog.KindImageRepository, plural: "IMAGE REPOSITORIES", plain: true, replace: true, comments: true,
		properties: append(ruleProperties(), encryptionProperty(func(s *catalog.ImageRepositorySpec) *string { return &s.Encryption })),
		columns: append([]column{
			createdOn(), nameColumn(), databaseName(), schemaName(),
			textOf("repository_url", func(l *listing, o *catalog.Object) *string {
				return textCell(l.w.options.Registry() + repositoryPath(o.Name))
			}),
			owner(), ownerRoleType(), comment(),
			specText("encryption", func(s *catalog.ImageRepositorySpec) string { return s.Encryption }),
			null("privatelink_repository_url"),
		}, ruleColumns()...),
		check: func(o *catalog.Object) error {
			s := o.Spec.(*catalog.ImageRepositorySpec)
			s.Encryption = cmp.Or(s.Encryption, "SNOWFLAKE_SSE")
			return checkUpstream(s)
		},
		dropping: repositoryDropping,
	}
}

// encryptionProperty is ENCRYPTION = (TYPE = '...').
func encryptionProperty[S catalog.Spec](field func(S) *string) property {
	return property{
		name: "ENCRYPTION", once: true,
		decode: func(_ context.Context, w *work, v ast.Value) (change, error) {
			inner, err := w.mapValue("ENCRYPTION", v, "TYPE")
			if err != nil {
				return nil, err
			}
			given, ok := inner["TYPE"]
			if !ok {
				return nil, badValue("ENCRYPTION", "()", "(TYPE = 'SNOWFLAKE_SSE'), (TYPE = 'SNOWFLAKE_FULL')")
			}
			word, err := w.wordValue("TYPE", given, []string{"SNOWFLAKE_SSE", "SNOWFLAKE_FULL"})
			return func(o *catalog.Object) { *field(o.Spec.(S)) = word }, err
		},
	}
}

// repositoryPath is the path of a repository as image references write it: /db/schema/repo.
func repositoryPath(n catalog.Name) string {
	return "/" + strings.ToLower(n.Database+"/"+n.Schema+"/"+n.Object)
}

// repositoryDropping refuses while an environment or a job runs from the repository: its image would be gone. A job that is being
// cancelled needs its image no more.
func repositoryDropping(_ *work, tx catalog.Tx, o *catalog.Object) error {
	holders, err := tx.ManifestHolders(o.ID, "", "")
	if err != nil {
		return err
	}
	var users []string
	for _, holder := range holders {
		if id, ok := strings.CutPrefix(holder, "job "); ok {
			job, err := tx.Job(catalog.ID(id))
			if err != nil {
				return err
			}
			if job.State == catalog.JobCancelling {
				continue
			}
		}
		users = append(users, holder)
	}
	if len(users) > 0 {
		return errs.New(errs.Refused, "image repository '%s' is used by %s: drop or cancel that first", o.Name, strings.Join(users, ", "))
	}
	return nil
}

// showImages is SHOW IMAGES IN IMAGE REPOSITORY: one row per tag. What Snowflake does not show comes last.
func showImages() show {
	return show{
		columns: []rowset.Column{
			rowset.TimestampColumn("created_on"), rowset.TextColumn("image_name"), rowset.TextColumn("tags"), rowset.TextColumn("digest"),
			rowset.TextColumn("image_path"), rowset.NumberColumn("size"), rowset.NumberColumn("layers_shared"), rowset.NumberColumn("size_shared"),
			rowset.TimestampColumn("last_pulled_on"), rowset.TextColumn("pushed_by"),
		},
		scope: catalog.KindImageRepository,
		rows: func(l *listing, scope showScope) error {
			if !l.guard.Holds(catalog.Read, scope.object) && !l.guard.Holds(catalog.Write, scope.object) {
				return rbac.Insufficient(scope.object.Kind, scope.object.Name)
			}
			facts, err := imageFactsOf(l.tx, scope.object.ID)
			if err != nil {
				return err
			}
			for tag, err := range l.tx.Tags(scope.object.ID, "", "") {
				if err != nil {
					return err
				}
				path := strings.TrimPrefix(repositoryPath(scope.object.Name), "/") + "/" + tag.Image + ":" + tag.Name
				l.add(tag.Image, func() []*string {
					return append([]*string{timeCell(tag.Created), textCell(tag.Image), textCell(tag.Name), textCell(tag.Digest), &path}, facts.cells(tag)...)
				})
			}
			return nil
		},
	}
}

// cells gives the cells of what a tag names: its size, how much of that something else in the repository holds too, when it was last pulled
// and who moved the tag there.
func (f *imageFacts) cells(tag *catalog.Tag) []*string {
	at := [2]string{tag.Image, tag.Digest}
	size := f.sizes[at]
	return []*string{numberCell(size.Bytes), numberCell(size.Shared), numberCell(size.SharedBytes), timeCell(f.pulls[at]), orNull(tag.MovedBy)}
}

// imageFacts is what is known of the manifests of a repository, by image and digest.
type imageFacts struct {
	sizes map[[2]string]catalog.ImageSize
	pulls map[[2]string]time.Time
}

// imageFactsOf reads what is known of the manifests of a repository.
func imageFactsOf(tx catalog.Tx, repository catalog.ID) (*imageFacts, error) {
	f := &imageFacts{sizes: map[[2]string]catalog.ImageSize{}, pulls: map[[2]string]time.Time{}}
	for size, err := range tx.ImageSizes(repository) {
		if err != nil {
			return nil, err
		}
		f.sizes[[2]string{size.Image, size.Digest}] = size
	}
	for pull, err := range tx.ImagePulls(repository) {
		if err != nil {
			return nil, err
		}
		f.pulls[[2]string{pull.Image, pull.Digest}] = pull.Time
	}
	return f, nil
}

// listImages is SYSTEM$REGISTRY_LIST_IMAGES('/db/schema/repo'): {"images": [...]}.
func listImages(ctx context.Context, w *work, args []query.Value) (query.Value, error) {
	path, err := textArg(args, 0)
	if err != nil {
		return query.Value{}, err
	}
	parts := strings.Split(strings.ToUpper(strings.Trim(path, "/")), "/")
	if len(parts) != 3 {
		return query.Value{}, errs.New(errs.Invalid, "invalid image repository path '%s': it is /database/schema/repository", path).Numbered(904, "42000")
	}
	images := []string{}
	err = w.view(ctx, func(tx catalog.Tx, g *rbac.Guard) error {
		name := catalog.Name{Database: parts[0], Schema: parts[1], Object: parts[2]}
		err := g.Check([]catalog.Requirement{{Any: []catalog.Privilege{catalog.Read, catalog.Write}, Kind: catalog.KindImageRepository, Name: name}})
		if err != nil {
			return err
		}
		o, err := tx.Object(catalog.KindImageRepository, name)
		if err != nil {
			return err
		}
		images, err = collect(tx.ImageNames(o.ID))
		return err
	})
	if images == nil {
		images = []string{}
	}
	return query.TextValue(*jsonCell(map[string][]string{"images": images})), err
}
