// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"strconv"
	"time"
)

// The account's parameters that say for how many days something that has ended still holds its image: whole numbers from 0 to
// MaxHoldDays.
const (
	JobHoldParameter     = "JOB_IMAGE_RETENTION_TIME_IN_DAYS"
	HistoryHoldParameter = "RUNTIME_ENVIRONMENT_HISTORY_RETENTION_TIME_IN_DAYS"
	MaxHoldDays          = 3650
)

const (
	// JobImageHold is for how long a job that has ended holds its image unless the account says otherwise: somebody may want to look
	// into what ran.
	JobImageHold = 7 * day
	// EnvironmentHistoryHold is for how long what an environment was pinned to is held unless the account says otherwise: somebody
	// may want to go back to it.
	EnvironmentHistoryHold = 30 * day

	day = 24 * time.Hour
)

// JobHold is for how long a job that has ended holds its image.
func (s *AccountSpec) JobHold() time.Duration { return s.hold(JobHoldParameter, JobImageHold) }

// HistoryHold is for how long what an environment was pinned to is held after that has ended.
func (s *AccountSpec) HistoryHold() time.Duration {
	return s.hold(HistoryHoldParameter, EnvironmentHistoryHold)
}

// hold gives the days that a parameter says; a text that is no such number says nothing.
func (s *AccountSpec) hold(parameter string, otherwise time.Duration) time.Duration {
	days, err := strconv.Atoi(s.Parameters[parameter])
	if err != nil || days < 0 || days > MaxHoldDays {
		return otherwise
	}
	return time.Duration(days) * day
}
