using System.Net;
using System.Text;
using Moe.Plugins.Conformance;

namespace Moe.Plugins.Cli;

/// <summary>A report as one page that needs nothing else.</summary>
internal static class VerifyHtml
{
    private const string Head = """
        <!doctype html>
        <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
        <style>
        body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #1c2126; background: #fff }
        table { border-collapse: collapse; width: 100% } td { border-top: 1px solid #d8dde2; padding: .45rem .6rem; vertical-align: top }
        td:first-child { white-space: nowrap; font-weight: 600 } code { font-size: 13px } dl { margin: .4rem 0 } dt { color: #5b6670 } dd { margin-left: 1.5rem }
        .passed { color: #1a7f37 } .failed, .unexpected-pass { color: #c0262d } .expected-failure { color: #9a6700 } .not-supported { color: #5b6670 }
        @media (prefers-color-scheme: dark) { body { background: #14181c; color: #e4e8ec } td { border-color: #333b43 } .passed { color: #4ac26b } .failed, .unexpected-pass { color: #ff7b72 } }
        </style>
        """;

    public static string Render(VerifyReport report)
    {
        var page = new StringBuilder(Head);
        string title = Escape($"{report.Backend}: {report.Summary()}");
        page.Append($"<title>{title}</title></head><body><h1>{Escape(report.Backend)}</h1><p>{Escape(report.Summary())}</p><table>\n");
        foreach (ConformanceResult result in report.Results)
        {
            string word = VerifyReport.Name(result.Outcome).Word;
            page.Append($"<tr><td class=\"{word.ToLowerInvariant().Replace(' ', '-')}\">{Escape(word)}</td>");
            page.Append($"<td><code>{Escape(result.RuleId)}</code><br>{Escape(result.Statement)}{Reason(result)}{Failures(result)}</td></tr>\n");
        }

        return page.Append("</table></body></html>\n").ToString();
    }

    private static string Reason(ConformanceResult result) => result.Reason.Length == 0 ? "" : $"<br><i>{Escape(result.Reason)}</i>";

    private static string Failures(ConformanceResult result)
    {
        if (result.Failures.Count == 0)
        {
            return "";
        }

        var list = new StringBuilder("<dl>");
        foreach (ConformanceFailure failure in result.Failures)
        {
            list.Append($"<dt>{Escape(failure.Where)}</dt><dd>expected {Escape(failure.Expected)}</dd><dd>got {Escape(failure.Got)}</dd>");
        }

        return list.Append($"</dl><code>{Escape(result.Command)}</code>").ToString();
    }

    private static string Escape(string text) => WebUtility.HtmlEncode(text);
}
