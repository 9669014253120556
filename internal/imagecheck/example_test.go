// SPDX-License-Identifier: Apache-2.0

package imagecheck_test

import (
	"context"
	"fmt"

	"firn.dev/firn/internal/imagecheck"
	"firn.dev/firn/internal/imagecheck/imagetest"
)

func ExampleCheck() {
	base := imagetest.Tar(imagetest.Good()...)
	image := imagetest.New(base, imagetest.Tar(imagetest.Whiteout(imagetest.Site+"/ray-1.0.dist-info")))

	policy, err := imagecheck.Builtin(imagecheck.PolicyDefault)
	if err != nil {
		fmt.Println(err)
		return
	}
	report, err := imagecheck.Check(context.Background(), image, imagecheck.Options{
		Policy: policy, Ref: "team/image:v1", BaseType: "CPU",
		Bases: []imagecheck.Base{{Ref: "base-cpu:1.0.0", Type: "CPU", Layers: []string{imagetest.Digest(base)}}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, c := range report.Failed() {
		fmt.Printf("%s: %s\n  %s\n", c.ID, c.Message, c.Remedy)
	}
	// Output:
	// pkg_ray: package ray is not installed in /usr/local
	//   RUN pip install 'ray'
}
