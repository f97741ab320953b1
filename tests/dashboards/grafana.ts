// A dashboard file in Grafana's own types, which its package @grafana/schema publishes. They leave open what belongs to a
// plugin (a panel's options, a query); here that is closed, for the four kinds of panels and the one data source in use.

import type * as raw from '@grafana/schema/dist/esm/raw/dashboard/x/Dashboard_types.gen';
import type * as stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as states from '@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen';
import type * as table from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type * as lines from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

// In a file an enumeration's member is its bare value.
type Plain<T> = T extends string ? `${T}` : T extends number | boolean | null | undefined ? T : { [K in keyof T]: Plain<T[K]> };

interface PrometheusQuery {
  refId: string;
  datasource: raw.DataSourceRef;
  expr: string;
  legendFormat: string;
  editorMode: 'code';
  format: 'time_series' | 'table';
  instant: boolean;
  range: boolean;
}

// What an override may set: a field's own properties, and those of the panel's kind behind `custom.`.
type Properties<Custom> = {
  [K in keyof raw.FieldConfig as Exclude<K, 'custom'>]-?: { id: K; value: raw.FieldConfig[K] };
} & { [K in keyof Custom & string as `custom.${K}`]-?: { id: `custom.${K}`; value: Custom[K] } };

type PanelOf<Kind extends string, Options, Custom> = Omit<raw.Panel, 'type' | 'options' | 'fieldConfig' | 'targets'> & {
  type: Kind;
  // Every panel says what it means, and leads to its runbook.
  id: number;
  title: string;
  description: string;
  links: raw.DashboardLink[];
  options: Options;
  targets: PrometheusQuery[];
  fieldConfig: {
    defaults: Omit<raw.FieldConfig, 'custom'> & { noValue: string; custom?: Partial<Custom> };
    overrides: Array<{ matcher: { id: 'byName'; options: string }; properties: Array<Properties<Custom>[keyof Properties<Custom>]> }>;
  };
};

type Panel =
  | PanelOf<'stat', Omit<stat.Options, 'text'>, {}>
  | PanelOf<'timeseries', lines.Options, lines.FieldConfig>
  | PanelOf<'state-timeline', states.Options, states.FieldConfig>
  | PanelOf<'table', Omit<table.Options, 'frameIndex'>, table.FieldConfig>
  | raw.RowPanel;

// An annotation that a Prometheus gives.
type Annotation = raw.AnnotationQuery & {
  expr?: string;
  titleFormat?: string;
  textFormat?: string;
  tagKeys?: string;
  step?: string;
  useValueForTime?: boolean;
};

type Variable = raw.VariableModel & { definition?: string };

export type Dashboard = Plain<
  Omit<raw.Dashboard, 'panels' | 'annotations' | 'templating' | 'id' | 'snapshot'> & {
    uid: string;
    panels: Panel[];
    annotations: { list: Annotation[] };
    templating: { list: Variable[] };
  }
>;
