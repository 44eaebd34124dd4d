using System.Globalization;
using System.Net;
using System.Text;
using Moe.Plugins.Conformance;

namespace Moe.Plugins.Cli;

/// <summary>A report as one page that needs nothing else.</summary>
internal static class VerifyHtml
{
    private const string Head = """
        <!doctype html>
        <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
        <style>
        :root { --text: #1c2126; --page: #fff; --line: #d8dde2; --quiet: #5b6670; --good: #1a7f37; --bad: #c0262d; --known: #9a6700 }
        @media (prefers-color-scheme: dark) { :root { --text: #e4e8ec; --page: #14181c; --line: #333b43; --quiet: #9aa4ae; --good: #4ac26b; --bad: #ff7b72; --known: #d29922 } }
        body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 1.5rem auto; padding: 0 1rem; color: var(--text); background: var(--page) }
        h1 { font-size: 1.5rem; margin: 0 0 .3rem } h2 { font-size: 1.1rem; margin: 1.8rem 0 .4rem }
        dl.run { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: .8rem 0 } dl.run dt { color: var(--quiet) } dl.run dd { margin: 0 }
        .rule { border-top: 1px solid var(--line); padding: .5rem 0 } .rule p { margin: .15rem 0 } code { font-size: 13px; overflow-wrap: anywhere }
        .word { font-weight: 600; margin-right: .6rem } .quiet { color: var(--quiet) }
        .passed { color: var(--good) } .failed, .unexpected-pass, .not-run { color: var(--bad) } .expected-failure { color: var(--known) } .not-supported { color: var(--quiet) }
        .failure { border-left: 3px solid var(--bad); padding-left: .7rem; margin: .5rem 0 } .failure dt { color: var(--quiet) } .failure dd { margin: 0 0 0 1rem; overflow-wrap: anywhere }
        </style>
        """;

    private static readonly (string Title, ConformanceOutcome[] Outcomes)[] Sections =
    [
        ("Broken", [ConformanceOutcome.Failed, ConformanceOutcome.UnexpectedPass]),
        ("Known to be broken", [ConformanceOutcome.ExpectedFailure]),
        ("Not checked", [ConformanceOutcome.NotRun, ConformanceOutcome.NotSupported]),
        ("Kept", [ConformanceOutcome.Passed]),
    ];

    /// <summary>Writes the page: what is broken comes first.</summary>
    public static string Render(VerifyReport report)
    {
        var page = new StringBuilder(Head);
        page.Append($"<title>{Escape($"{report.Backend}: {report.Summary()}")}</title></head><body>\n");
        page.Append($"<h1>{Escape(report.Backend)}</h1><p>{Escape(report.Summary())}</p>\n<dl class=\"run\">");
        AddFact(page, "date", report.Date);
        AddFact(page, "machine", VerifyReport.Machine);
        AddFact(page, "device", report.Device.Length > 0 ? report.Device : "none that it could run on");
        AddFact(page, "duration", string.Create(CultureInfo.InvariantCulture, $"{report.Seconds:0.0} s"));
        page.Append("</dl>\n");
        foreach ((string title, ConformanceOutcome[] outcomes) in Sections)
        {
            ConformanceResult[] results = [.. report.Results.Where(result => outcomes.Contains(result.Outcome))];
            if (results.Length > 0)
            {
                page.Append($"<h2>{title}: {results.Length.ToString(CultureInfo.InvariantCulture)}</h2>\n");

                // What one driver lacks, nearly all rules would say.
                foreach (IGrouping<string, ConformanceResult> reason in results.GroupBy(result => result.Reason))
                {
                    page.Append(reason.Key.Length > 0 ? $"<p class=\"quiet\">{Escape(reason.Key)}:</p>\n" : "");
                    foreach (ConformanceResult result in reason)
                    {
                        AddRule(page, result);
                    }
                }
            }
        }

        return page.Append("</body></html>\n").ToString();
    }

    private static void AddFact(StringBuilder page, string name, string value) => page.Append($"<dt>{name}</dt><dd>{Escape(value)}</dd>");

    private static void AddRule(StringBuilder page, ConformanceResult result)
    {
        string word = VerifyReport.Name(result.Outcome).Word;
        page.Append($"<div class=\"rule\"><span class=\"word {word.ToLowerInvariant().Replace(' ', '-')}\">{Escape(word)}</span>");
        page.Append($"<code>{Escape(result.RuleId)}</code><p>{Escape(result.Statement)}</p>");
        foreach (ConformanceFailure failure in result.Failures)
        {
            page.Append($"<dl class=\"failure\"><dt>{Escape(failure.Where)}</dt><dd>expected {Escape(failure.Expected)}</dd><dd>got {Escape(failure.Got)}</dd></dl>");
        }

        if (result.Failures.Count > 0)
        {
            page.Append($"<p class=\"quiet\">To see it again: <code>{Escape(result.Command)}</code></p>");
        }

        page.Append("</div>\n");
    }

    private static string Escape(string text) => WebUtility.HtmlEncode(PlainText.OfMessage(text));
}
