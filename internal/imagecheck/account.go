// SPDX-License-Identifier: Apache-2.0

package imagecheck

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"firn.dev/firn/internal/imagecheck/layer"
)

// account is who the container runs as.
type account struct {
	uid     int
	groups  []int
	home    string
	problem string // why the container does not start, "" when it does
}

// findAccount reads USER the way an engine does: a name must be in the image's /etc/passwd, a number need not.
func (c *checker) findAccount() account {
	passwd, _ := c.tree.Body("/etc/passwd")
	group, _ := c.tree.Body("/etc/group")
	user, groupName, hasGroup := strings.Cut(c.config.Config.User, ":")
	if user == "" {
		user = "0"
	}
	a := account{home: "/"}
	number, err := strconv.Atoi(user)
	name, known := user, false
	a.uid = number
	for _, row := range table(passwd, 7) {
		uid, err1 := strconv.Atoi(row[2])
		gid, err2 := strconv.Atoi(row[3])
		if err1 != nil || err2 != nil || row[0] != user && (err != nil || uid != number) {
			continue
		}
		name, a.uid, a.groups, a.home, known = row[0], uid, []int{gid}, row[5], true
		break
	}
	if !known && err != nil {
		a.problem = fmt.Sprintf("USER %q is not in the image's /etc/passwd", user)
		return a
	}
	if !known {
		a.groups = []int{0}
		if number == 0 {
			a.home = "/root"
		}
	}
	if !hasGroup {
		a.groups = append(a.groups, groupsOf(group, name)...)
		return a
	}
	gid, ok := groupID(group, groupName)
	if !ok {
		a.problem = fmt.Sprintf("group %q of USER is not in the image's /etc/group", groupName)
	}
	a.groups = []int{gid}
	return a
}

// table splits a file such as /etc/passwd into rows of at least n fields.
func table(body []byte, n int) [][]string {
	var rows [][]string
	for line := range strings.Lines(string(body)) {
		if row := strings.Split(strings.TrimSpace(line), ":"); len(row) >= n {
			rows = append(rows, row)
		}
	}
	return rows
}

func groupsOf(group []byte, user string) []int {
	var ids []int
	for _, row := range table(group, 4) {
		if gid, err := strconv.Atoi(row[2]); err == nil && slices.Contains(strings.Split(row[3], ","), user) {
			ids = append(ids, gid)
		}
	}
	return ids
}

func groupID(group []byte, name string) (int, bool) {
	for _, row := range table(group, 3) {
		if gid, err := strconv.Atoi(row[2]); err == nil && row[0] == name {
			return gid, true
		}
	}
	gid, err := strconv.Atoi(name)
	return gid, err == nil
}

// mayExecute decides as the kernel does: root needs any x bit, the owner only its own, then the groups, then the rest.
func (a account) mayExecute(e *layer.Entry) bool {
	switch {
	case a.uid == 0:
		return e.Mode&0o111 != 0
	case a.uid == e.UID:
		return e.Mode&0o100 != 0
	case slices.Contains(a.groups, e.GID):
		return e.Mode&0o010 != 0
	}
	return e.Mode&0o001 != 0
}
