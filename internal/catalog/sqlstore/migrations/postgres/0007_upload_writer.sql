-- SPDX-License-Identifier: Apache-2.0

-- +goose Up

-- The process that writes to an upload at this moment, or ''.
ALTER TABLE upload ADD COLUMN writer TEXT COLLATE "C" NOT NULL DEFAULT '';
