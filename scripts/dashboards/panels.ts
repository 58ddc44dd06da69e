/** What a panel is, so that a dashboard's file says only what it shows. Types are Grafana's own. */
import { BarGaugeDisplayMode, BarGaugeNamePlacement, BarGaugeSizing, BarGaugeValueMode, BigValueColorMode, BigValueGraphMode, BigValueJustifyMode, BigValueTextMode, FieldColorModeId, GraphDrawStyle, GraphGradientMode, GraphThresholdsStyleMode, LegendDisplayMode, MappingType, PercentChangeColorMode, SortOrder, StackingMode, TableCellHeight, ThresholdsMode, TooltipDisplayMode, VisibilityMode, VizOrientation, type GraphFieldConfig, type Panel, type ThresholdsConfig, type ValueMapping } from '@grafana/schema'
import type { Options as BarGaugeOptions } from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen'
import type { Options as StatOptions } from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen'
import type { Options as TableOptions } from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen'
import type { Options as TimeSeriesOptions } from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen'

/** As it is provisioned: compose/grafana/provisioning/datasources/prometheus.yaml. */
export const DATASOURCE = { type: 'prometheus', uid: 'turnpike-prometheus' } as const

export type Query = [expression: string, legend: string]
export type Subject = {
  title: string
  /** What it shows, and what is normal. */
  description: string
  /** One of Grafana's ids for units. */
  unit: string
  queries: Query[]
  /** Of 24. */
  width: number
  /** Where it becomes good or bad: from this value on, this colour; the first colour holds below. */
  thresholds?: Thresholds
  min?: number
  max?: number
  decimals?: number
}
export type Thresholds = { below: Colour, from: [value: number, colour: Colour][] }
type Colour = 'green' | 'yellow' | 'orange' | 'red' | 'blue'
/** Without its id and place, which the dashboard gives it. */
export type Unplaced = Panel & { width: number, height: number }

/** A number is bad from some value on. */
export function bad (from: number, worse?: number): Thresholds {
  return { below: 'green', from: [[from, worse === undefined ? 'red' : 'orange'], ...(worse === undefined ? [] : [[worse, 'red'] as [number, Colour]])] }
}

/** A number is good from some value on. */
export function good (from: number, least?: number): Thresholds {
  return { below: 'red', from: [...(least === undefined ? [] : [[least, 'orange'] as [number, Colour]]), [from, 'green']] }
}

/** One number for each series, coloured; with `words` in the place of numbers. */
export function stat (subject: Subject & { words?: Record<number, string>, nameOnly?: boolean }): Unplaced {
  const { words, nameOnly = false, thresholds, queries } = subject
  const options = {
    reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false },
    orientation: VizOrientation.Auto,
    colorMode: thresholds === undefined ? BigValueColorMode.Value : BigValueColorMode.Background,
    graphMode: words === undefined && !nameOnly ? BigValueGraphMode.Area : BigValueGraphMode.None,
    justifyMode: BigValueJustifyMode.Auto,
    textMode: nameOnly ? BigValueTextMode.Name : (queries.some(([, legend]) => legend.includes('{{')) ? BigValueTextMode.ValueAndName : BigValueTextMode.Value),
    wideLayout: true,
    showPercentChange: false,
    percentChangeColorMode: PercentChangeColorMode.Standard,
  } satisfies StatOptions
  return panel('stat', subject, 5, { options, mappings: wordsFor(words) })
}

/** Lines over time. `stacked` where the sum means something; `limit` draws the thresholds. */
export function timeseries (subject: Subject & { stacked?: boolean, bars?: boolean, limit?: boolean }): Unplaced {
  const { stacked = false, bars = false, limit = false } = subject
  const options = {
    legend: { showLegend: true, displayMode: LegendDisplayMode.Table, placement: 'bottom', calcs: ['lastNotNull', 'max'] },
    tooltip: { mode: TooltipDisplayMode.Multi, sort: SortOrder.Descending },
  } satisfies TimeSeriesOptions
  const custom = {
    drawStyle: bars ? GraphDrawStyle.Bars : GraphDrawStyle.Line,
    lineWidth: 1,
    fillOpacity: stacked || bars ? 30 : 8,
    gradientMode: GraphGradientMode.None,
    showPoints: VisibilityMode.Never,
    spanNulls: false,
    stacking: { mode: stacked ? StackingMode.Normal : StackingMode.None, group: 'A' },
    thresholdsStyle: { mode: limit ? GraphThresholdsStyleMode.Dashed : GraphThresholdsStyleMode.Off },
  } satisfies GraphFieldConfig
  return panel('timeseries', { min: 0, ...subject }, 8, { options, custom })
}

/** One bar for each series, between min and max. */
export function bars (subject: Subject): Unplaced {
  const options = {
    reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false },
    orientation: VizOrientation.Horizontal,
    displayMode: BarGaugeDisplayMode.Basic,
    valueMode: BarGaugeValueMode.Color,
    namePlacement: BarGaugeNamePlacement.Auto,
    sizing: BarGaugeSizing.Auto,
    showUnfilled: true,
    minVizHeight: 16,
    minVizWidth: 8,
    maxVizHeight: 40,
    legend: { showLegend: false, displayMode: LegendDisplayMode.List, placement: 'bottom', calcs: [] },
  } satisfies BarGaugeOptions
  return panel('bargauge', subject, 8, { options })
}

/** The labels of each series, without time and value. */
export function table (subject: Subject): Unplaced {
  const options = { frameIndex: 0, showHeader: true, cellHeight: TableCellHeight.Sm } satisfies TableOptions
  const shown = panel('table', subject, 5, { options })
  return {
    ...shown,
    targets: (shown.targets ?? []).map(target => ({ ...target, instant: true, range: false, format: 'table' })),
    transformations: [{ id: 'organize', options: { excludeByName: { Time: true, Value: true } } }],
  }
}

function panel (type: string, subject: Subject, height: number, { options, custom, mappings }: { options: Record<string, unknown>, custom?: GraphFieldConfig, mappings?: ValueMapping[] }): Unplaced {
  const { title, description, unit, queries, width, thresholds, min, max, decimals } = subject
  return {
    type,
    title,
    description,
    datasource: DATASOURCE,
    width,
    height,
    fieldConfig: {
      defaults: {
        unit,
        ...(min === undefined ? {} : { min }),
        ...(max === undefined ? {} : { max }),
        ...(decimals === undefined ? {} : { decimals }),
        color: { mode: type === 'timeseries' ? FieldColorModeId.PaletteClassic : FieldColorModeId.Thresholds },
        thresholds: thresholdsOf(thresholds),
        ...(mappings === undefined ? {} : { mappings }),
        ...(custom === undefined ? {} : { custom: { ...custom } }),
      },
      overrides: [],
    },
    options,
    targets: queries.map(([expr, legendFormat], i) => ({ refId: String.fromCharCode(65 + i), datasource: DATASOURCE, expr, legendFormat, range: true, instant: false, editorMode: 'code' })),
  }
}

function thresholdsOf ({ below, from }: Thresholds = { below: 'blue', from: [] }): ThresholdsConfig {
  // JSON has no -Infinity: null is what Grafana writes for it.
  return { mode: ThresholdsMode.Absolute, steps: [{ color: below, value: null }, ...from.map(([value, color]) => ({ color, value }))] }
}

function wordsFor (words?: Record<number, string>): ValueMapping[] {
  if (words === undefined) return []
  return [{ type: MappingType.ValueToText, options: Object.fromEntries(Object.entries(words).map(([value, text], index) => [value, { text, index }])) }]
}
