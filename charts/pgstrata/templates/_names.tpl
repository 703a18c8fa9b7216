{{/* Names and labels that the templates share. */}}

{{- define "pgstrata.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The release's name, with the chart's unless it is in there. Lease and cluster roles use it, too. */}}
{{- define "pgstrata.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains (include "pgstrata.name" .) .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "pgstrata.name" .) | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* A Service's name begins with a letter and has no dots; a release's may be otherwise. */}}
{{- define "pgstrata.serviceName" -}}
{{- $name := include "pgstrata.fullname" . | replace "." "-" }}
{{- if not (regexMatch "^[a-z]" $name) }}
{{- $name = printf "pgstrata-%s" $name }}
{{- end }}
{{- $name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Cluster-wide names carry the namespace: two releases of one name do not meet. */}}
{{- define "pgstrata.clusterName" -}}
{{- printf "%s:%s" .Release.Namespace (include "pgstrata.fullname" .) }}
{{- end }}

{{- define "pgstrata.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "pgstrata.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name: needed where serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "pgstrata.selectorLabels" -}}
app.kubernetes.io/name: {{ include "pgstrata.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "pgstrata.labels" -}}
{{ include "pgstrata.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | quote }}
{{- end }}

{{- define "pgstrata.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{/* What the operator does to resources and what they name: in the cluster, or in each namespace. */}}
{{- define "pgstrata.rules" -}}
- apiGroups: [pgstrata.dev]
  resources: [manageddatabases, schemaversions]
  verbs: [get, list, watch]
# Its finalizer, and nothing else.
- apiGroups: [pgstrata.dev]
  resources: [schemaversions]
  verbs: [patch]
- apiGroups: [pgstrata.dev]
  resources: [manageddatabases/status, schemaversions/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get{{ if .Values.secrets.watch }}, list, watch{{ end }}]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get{{ if .Values.configMaps.watch }}, list, watch{{ end }}]
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- end }}

{{/* A duration such as 1m30s, in seconds. */}}
{{- define "pgstrata.seconds" -}}
{{- $units := dict "s" 1 "m" 60 "h" 3600 "d" 86400 }}
{{- $seconds := 0 }}
{{- range regexFindAll "[0-9]+[smhd]" . -1 }}
{{- $seconds = add $seconds (mul (regexFind "[0-9]+" . | atoi) (get $units (regexFind "[smhd]" .))) }}
{{- end }}
{{- $seconds }}
{{- end }}

{{/* Variables that have no value of their own. */}}
{{- define "pgstrata.extraEnv" -}}
{{- range .Values.extraEnv }}
{{- if eq .name "PGSTRATA_HEALTH_ADDRESS" }}
{{- fail "extraEnv: PGSTRATA_HEALTH_ADDRESS cannot be set: probes and metrics are asked for at port 8080 of every address" }}
{{- end }}
{{- end }}
{{- toYaml .Values.extraEnv }}
{{- end }}

{{/* The kubelet kills what has not ended by then: after the grace the Lease is to be given back. */}}
{{- define "pgstrata.terminationGracePeriodSeconds" -}}
{{- $given := int .Values.terminationGracePeriodSeconds }}
{{- $needed := add 20 (include "pgstrata.seconds" .Values.settings.grace | atoi) | int }}
{{- if lt $given $needed }}
{{- fail (printf "terminationGracePeriodSeconds: %d is too short for settings.grace %s; it takes %d: the grace and 20 s" $given .Values.settings.grace $needed) }}
{{- end }}
{{- $given }}
{{- end }}
