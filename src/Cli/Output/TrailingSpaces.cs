using Spectre.Console.Rendering;

namespace Moe.Plugins.Cli;

/// <summary>Leaves away the spaces at the ends of lines that tables and grids are filled up with.</summary>
internal sealed class TrailingSpaces : IRenderHook
{
    public IEnumerable<IRenderable> Process(RenderOptions options, IEnumerable<IRenderable> renderables) =>
        renderables.Select(renderable => new Trimmed(renderable));

    private sealed class Trimmed(IRenderable inner) : IRenderable
    {
        public Measurement Measure(RenderOptions options, int maxWidth) => inner.Measure(options, maxWidth);

        public IEnumerable<Segment> Render(RenderOptions options, int maxWidth)
        {
            var line = new List<Segment>();
            foreach (Segment segment in inner.Render(options, maxWidth))
            {
                if (segment.IsLineBreak)
                {
                    TrimEnd(line);
                }

                line.Add(segment);
                if (segment.IsLineBreak)
                {
                    foreach (Segment part in line)
                    {
                        yield return part;
                    }

                    line.Clear();
                }
            }

            // Not a whole line: something may follow.
            foreach (Segment part in line)
            {
                yield return part;
            }
        }

        private static void TrimEnd(List<Segment> line)
        {
            while (line.Count > 0 && line[^1] is { IsControlCode: false } last)
            {
                string text = last.Text.TrimEnd(' ');
                line.RemoveAt(line.Count - 1);
                if (text.Length > 0)
                {
                    line.Add(new Segment(text, last.Style));
                    return;
                }
            }
        }
    }
}
