// SPDX-License-Identifier: Apache-2.0

package catalog

// PolicyParameter names the account's parameter that holds the text of its policy for images.
const PolicyParameter = "RUNTIME_ENVIRONMENT_POLICY"
