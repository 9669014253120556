// SPDX-License-Identifier: Apache-2.0

package vulndb

import "testing"

func TestRating(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		vectors []string
		word    string
		want    Severity
		score   float64
	}{
		{nil, "", "", 0},
		{nil, "MODERATE", Medium, 0},
		{nil, "unimportant", Low, 0},
		{nil, "not yet assigned", "", 0},
		{[]string{"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}, "LOW", Critical, 9.8},
		{[]string{"CVSS:3.0/AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N"}, "", Low, 1.8},
		{[]string{"AV:N/AC:L/Au:N/C:C/I:C/A:C"}, "", High, 10},
		{[]string{"(AV:N/AC:M/Au:N/C:P/I:N/A:N)"}, "", Medium, 4.3},
		// A word of the newer scale beats the number of the older one.
		{[]string{"AV:N/AC:L/Au:N/C:C/I:C/A:C", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}, "", Critical, 9.8},
		{[]string{"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"}, "", Critical, 9.3},
		{[]string{"CVSS:3.1/AV:P/AC:H/PR:H/UI:R/S:U/C:N/I:N/A:N"}, "HIGH", Low, 0},
		{[]string{"CVSS:3.1/broken", "CVSS:9.9/AV:N", "7.5", ""}, "high", High, 0},
	} {
		r := rateWord(x.word)
		for _, v := range x.vectors {
			r = r.join(rateVector(v))
		}
		if severity, score := r.final(); severity != x.want || score != x.score {
			t.Errorf("%v %q: %s %.1f, want %s %.1f", x.vectors, x.word, severity, score, x.want, x.score)
		}
	}
}

func TestAtLeast(t *testing.T) {
	t.Parallel()
	if !High.AtLeast(High) || !Critical.AtLeast(Low) || Medium.AtLeast(High) || Unknown.AtLeast(Low) || Severity("").AtLeast(Low) {
		t.Error("the order of severities is wrong")
	}
	if _, ok := ParseSeverity("unknown"); ok {
		t.Error("unknown is no level that can be asked for")
	}
}
