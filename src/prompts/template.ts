/** What a policy is asked; `{instruction}` stands for the sample's own words. */
export interface PromptTemplate {
  /** Without it the checkpoint's chat template writes its own. */
  readonly system?: string;
  readonly user: string;
  /** Position of images; before the text by default. */
  readonly imageLast?: true;
  /** The sample's words are lower-cased. */
  readonly lowerCase?: true;
}
