// Package printer (pure) prints objects as kubectl does: tables with the columns of the CRDs, JSON and YAML with lists
// wrapped in a List, and the nested listing of describe.
package printer
